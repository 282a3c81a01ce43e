#include "common/fs/memory_files.h"

#include <algorithm>
#include <cstring>

namespace drover::fs {

struct MemoryFiles::Node {
  Kind kind = Kind::file;
  std::uint32_t mode = 0600;
  std::string bytes;  // of a file, or the target of a link
  std::string durable_bytes;
  std::map<std::string, NodePtr> names;  // of a folder
  std::map<std::string, NodePtr> durable_names;
  int readers = 0;
};

namespace {
constexpr int kMaxLinks = 16;  // followed in one path
Error absent(const std::string& path) { return Error(Code::not_found, path + " does not exist"); }
}  // namespace

class MemoryFiles::MemoryAppender final : public Appender {
 public:
  MemoryAppender(MemoryFiles& owner, NodePtr node) : owner_(owner), node_(std::move(node)) {}
  Status append(std::string_view bytes) override {
    if (bytes.size() > owner_.free_) return Error(Code::disk_full, "no space left");
    owner_.free_ -= bytes.size();
    node_->bytes += bytes;
    return {};
  }
  Status sync() override {
    node_->durable_bytes = node_->bytes;
    return {};
  }
  std::uint64_t size() const override { return node_->bytes.size(); }

 private:
  MemoryFiles& owner_;
  NodePtr node_;
};

class MemoryFiles::MemoryReader final : public Reader {
 public:
  explicit MemoryReader(NodePtr node) : node_(std::move(node)) { ++node_->readers; }
  ~MemoryReader() override { --node_->readers; }
  Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override {
    if (offset >= node_->bytes.size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(out.size(), node_->bytes.size() - offset);
    std::memcpy(out.data(), node_->bytes.data() + offset, n);
    return n;
  }

 private:
  NodePtr node_;
};

class MemoryFiles::MemoryLock final : public Lock {
 public:
  explicit MemoryLock(std::shared_ptr<int> held) : held_(std::move(held)) {}

 private:
  std::shared_ptr<int> held_;
};

MemoryFiles::MemoryFiles() : root_(std::make_shared<Node>()) { root_->kind = Kind::folder; }
MemoryFiles::~MemoryFiles() = default;

// Finds the folder of the last component, following links on the way to it.
Result<MemoryFiles::Place> MemoryFiles::walk(const std::string& path, int links_followed) {
  if (links_followed > kMaxLinks) return Error(Code::io, path + ": too many links");
  NodePtr folder = root_;
  std::string so_far;
  std::size_t begin = 0;
  for (;;) {
    while (begin < path.size() && path[begin] == '/') ++begin;
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    const auto found = folder->names.find(name);
    const NodePtr node = found == folder->names.end() ? nullptr : found->second;
    if (path.find_first_not_of('/', end) == std::string::npos) return Place{folder, name, node};
    if (node == nullptr) return absent(path);
    if (node->kind == Kind::link) {
      const bool absolute = !node->bytes.empty() && node->bytes[0] == '/';
      std::string resolved = (absolute ? "" : so_far + "/") + node->bytes + path.substr(end);
      for (std::size_t up = resolved.find("/../"); up != std::string::npos; up = resolved.find("/../")) {
        const std::size_t before = up == 0 ? 0 : resolved.rfind('/', up - 1);
        resolved.erase(before, up + 3 - before);
      }
      return walk(resolved, links_followed + 1);
    }
    if (node->kind != Kind::folder) return absent(path);
    so_far += "/" + name;
    folder = node;
    begin = end;
  }
}

Result<MemoryFiles::Place> MemoryFiles::find(const std::string& path) {
  TRY_ASSIGN(Place place, walk(path));
  if (place.name.empty()) place.node = root_;
  if (place.node == nullptr) return absent(path);
  return place;
}

Status MemoryFiles::add(const std::string& path, NodePtr node) {
  TRY_ASSIGN(const Place place, walk(path));
  if (place.node != nullptr) return Error(Code::already_exists, path + " exists");
  place.folder->names[place.name] = std::move(node);
  return {};
}

void MemoryFiles::cut(Node& folder, Rng* rng) {
  std::map<std::string, NodePtr> left = folder.durable_names;
  if (rng != nullptr) {
    for (const auto& [name, node] : folder.names)
      if (rng->below(2) == 0) left[name] = node;
    for (const auto& [name, node] : folder.durable_names)
      if (!folder.names.contains(name) && rng->below(2) == 0) left.erase(name);
  }
  folder.names = folder.durable_names = left;
  for (const auto& [name, node] : left) {
    if (node->kind == Kind::folder) cut(*node, rng);
    if (node->kind != Kind::file || node->bytes == node->durable_bytes) continue;
    std::string bytes = node->durable_bytes;
    const std::uint64_t fate = rng == nullptr ? 0 : rng->below(3);
    if (fate == 1) bytes = node->bytes;
    if (fate == 2) bytes.resize(node->bytes.size(), '\0');  // the length was written, the data was not
    node->bytes = node->durable_bytes = bytes;
  }
}

void MemoryFiles::one_name_each(Rng* rng) {
  std::map<Node*, std::vector<std::pair<Node*, std::string>>> names;  // of each folder: where it stands
  std::vector<Node*> folders{root_.get()};
  while (!folders.empty()) {
    Node* folder = folders.back();
    folders.pop_back();
    for (const auto& [name, node] : folder->names) {
      if (node->kind != Kind::folder) continue;
      names[node.get()].emplace_back(folder, name);
      if (names[node.get()].size() == 1) folders.push_back(node.get());
    }
  }
  for (const auto& [node, places] : names) {
    const std::size_t kept = rng == nullptr ? 0 : static_cast<std::size_t>(rng->below(places.size()));
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (i == kept) continue;
      places[i].first->names.erase(places[i].second);
      places[i].first->durable_names.erase(places[i].second);
    }
  }
}

void MemoryFiles::power_cut() {
  cut(*root_, nullptr);
  one_name_each(nullptr);
  locks_.clear();
  ++boots_;
}

void MemoryFiles::power_cut(std::uint64_t seed) {
  SeededRng rng(seed);
  cut(*root_, &rng);
  one_name_each(&rng);
  locks_.clear();
  ++boots_;
}

bool MemoryFiles::corrupt(const std::string& path, std::uint64_t offset) {
  const auto place = find(path);
  if (!place || place->node->bytes.size() <= offset) return false;
  place->node->bytes[offset] = static_cast<char>(place->node->bytes[offset] ^ 1);
  place->node->durable_bytes = place->node->bytes;
  return true;
}

Result<Info> MemoryFiles::info(const std::string& path) {
  TRY_ASSIGN(const Place place, find(path));
  const Node& node = *place.node;
  std::uint64_t links = 0;
  std::vector<const Node*> folders{root_.get()};
  while (!folders.empty()) {
    const Node* folder = folders.back();
    folders.pop_back();
    for (const auto& [name, child] : folder->names) {
      if (child.get() == &node) ++links;
      if (child->kind == Kind::folder) folders.push_back(child.get());
    }
  }
  return Info{node.kind, node.bytes.size(), node.mode, links};
}

Result<std::vector<std::string>> MemoryFiles::list(const std::string& folder) {
  TRY_ASSIGN(Place place, find(folder));
  for (int i = 0; i < kMaxLinks && place.node->kind == Kind::link; ++i) {
    const std::string target = place.node->bytes;
    TRY_ASSIGN(place, find(target[0] == '/' ? target : parent(folder) + "/" + target));
  }
  if (place.node->kind != Kind::folder) return absent(folder);
  std::vector<std::string> names;
  for (const auto& [name, node] : place.node->names) names.push_back(name);
  return names;
}

Result<std::string> MemoryFiles::read(const std::string& path, std::size_t limit) {
  TRY_ASSIGN(const Place place, find(path));
  if (place.node->kind != Kind::file) return Error(Code::io, path + " is no file");
  if (place.node->bytes.size() > limit) return Error(Code::too_large, path + " is too large");
  return place.node->bytes;
}

Result<std::string> MemoryFiles::read_link(const std::string& path) {
  TRY_ASSIGN(const Place place, find(path));
  if (place.node->kind != Kind::link) return Error(Code::io, path + " is no link");
  return place.node->bytes;
}

Result<std::unique_ptr<Reader>> MemoryFiles::open(const std::string& path, Cache) {
  TRY_ASSIGN(const Place place, find(path));
  if (place.node->kind != Kind::file) return Error(Code::io, path + " is no file");
  return std::unique_ptr<Reader>(new MemoryReader(place.node));
}

Result<std::unique_ptr<Appender>> MemoryFiles::append(const std::string& path, std::uint64_t keep) {
  TRY_ASSIGN(const Place place, walk(path));
  NodePtr node = place.node;
  if (node == nullptr) {
    node = std::make_shared<Node>();
    place.folder->names[place.name] = node;
  }
  if (node->kind != Kind::file) return Error(Code::io, path + " is no file");
  if (node->bytes.size() > keep) node->bytes.resize(keep);
  return std::unique_ptr<Appender>(new MemoryAppender(*this, node));
}

Status MemoryFiles::make_folder(const std::string& path) {
  TRY_ASSIGN(const Place place, walk(path));
  if (place.name.empty() || (place.node != nullptr && place.node->kind == Kind::folder)) return {};
  const auto node = std::make_shared<Node>();
  node->kind = Kind::folder;
  node->mode = 0755;
  return add(path, node);
}

Status MemoryFiles::rename(const std::string& from, const std::string& to) {
  TRY_ASSIGN(const Place source, find(from));
  TRY_ASSIGN(const Place target, walk(to));
  if (target.node == source.node) return {};
  if (target.node != nullptr && target.node->kind == Kind::folder &&
      (source.node->kind != Kind::folder || !target.node->names.empty()))
    return Error(Code::io, to + " is a folder that is not empty");
  source.folder->names.erase(source.name);
  target.folder->names[target.name] = source.node;
  return {};
}

Status MemoryFiles::hard_link(const std::string& from, const std::string& to) {
  TRY_ASSIGN(const Place source, find(from));
  if (source.node->kind != Kind::file) return Error(Code::permission_denied, from + " is no file");
  return add(to, source.node);
}

Status MemoryFiles::symlink(const std::string& target, const std::string& path) {
  const auto node = std::make_shared<Node>();
  node->kind = Kind::link;
  node->mode = 0777;
  node->bytes = node->durable_bytes = target;
  return add(path, node);
}

Status MemoryFiles::remove(const std::string& path) {
  const auto place = find(path);
  if (!place) return place.error().code() == Code::not_found ? Status() : Status(place.error());
  if (place->node->kind == Kind::folder && !place->node->names.empty()) return Error(Code::io, path + " is not empty");
  place->folder->names.erase(place->name);
  return {};
}

Status MemoryFiles::set_mode(const std::string& path, std::uint32_t mode) {
  TRY_ASSIGN(const Place place, find(path));
  place.node->mode = mode;
  return {};
}

Status MemoryFiles::sync_folder(const std::string& path) {
  TRY_ASSIGN(const Place place, find(path));
  if (place.node->kind != Kind::folder) return Error(Code::not_found, path + " is no folder");
  place.node->durable_names = place.node->names;
  return {};
}

Result<std::uint64_t> MemoryFiles::free_space(const std::string&) { return free_; }

Result<std::string> MemoryFiles::boot_id() { return "boot-" + std::to_string(boots_); }

Result<std::unique_ptr<Lock>> MemoryFiles::lock(const std::string& path) {
  if (locks_[path].lock() != nullptr) return Error(Code::conflict, path + " is locked");
  const auto held = std::make_shared<int>(0);
  locks_[path] = held;
  return std::unique_ptr<Lock>(new MemoryLock(held));
}

Result<bool> MemoryFiles::in_use(const std::string& file) {
  TRY_ASSIGN(const Place place, find(file));
  return place.node->readers > 0;
}

}  // namespace drover::fs
