// Two refreshes of one device from a repository of arbitrary files. The input is text: a line "=NAME" begins a file.
//   =root               what the device has stored (root, timestamp, snapshot, targets, a model)
//   =1/timestamp.json   what the first refresh is served
//   =2/timestamp.json   what the second is served
#include "common/tuf/refresh.h"

#include <map>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/repository.h"

namespace drover::fuzz {
namespace {

using Files = std::map<std::string, std::string, std::less<>>;

constexpr int kMaxRequests = tuf::kMaxRootRotations + 8 * tuf::kMaxDelegations;

Files split(std::string_view text) {
  Files files;
  while (!text.empty()) {
    const std::size_t end = text.find("\n=");
    std::string_view file = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!file.starts_with('=')) continue;
    const std::size_t line = file.find('\n');
    if (line != std::string_view::npos) files[std::string(file.substr(1, line - 1))] = file.substr(line + 1);
  }
  return files;
}

class Store final : public tuf::MetadataStore {
 public:
  Result<Bytes> load(std::string_view role) override {
    const auto found = files.find(role);
    if (found == files.end()) return Error(Code::not_found, std::string(role));
    return Bytes(found->second.begin(), found->second.end());
  }
  Status save(std::string_view role, ByteView bytes) override {
    require(tuf::parse_envelope(bytes, tuf::kMaxTargetsBytes).has_value(), "only metadata is stored");
    files[std::string(role)] = text_of(bytes);
    return {};
  }
  Files files;
};

class Source final : public tuf::MetadataSource {
 public:
  Source(const Files& files, std::string prefix) : files_(files), prefix_(std::move(prefix)) {}
  Result<Bytes> fetch(std::string_view name, std::uint64_t max_length) override {
    require(++requests_ <= kMaxRequests, "the walk is bounded");
    require(max_length <= tuf::kMaxTargetsBytes, "every answer is bounded");
    require(name.find('/') == std::string_view::npos, "a role is one file name");
    const auto found = files_.find(prefix_ + std::string(name));
    if (found == files_.end()) return Error(Code::not_found, std::string(name));
    if (found->second.size() > max_length) return Error(Code::too_large, std::string(name));
    return Bytes(found->second.begin(), found->second.end());
  }

 private:
  const Files& files_;
  std::string prefix_;
  int requests_ = 0;
};

// What a device trusts after a refresh that went well.
struct Seen {
  std::int64_t root = 0, timestamp = 0;
  std::map<std::string, tuf::MetaFile, std::less<>> meta;
};

std::optional<Seen> refresh(Store& store, const Files& files, const std::string& prefix) {
  auto walk = tuf::Refresh::start(store, kNow, easy_signature);
  if (!walk) return std::nullopt;
  Source source(files, prefix);
  if (!tuf::run(*walk, source)) return std::nullopt;
  for (const std::string path : {"mnist/1", "a/b", "mnist/2"}) {
    walk->find(path);
    if (!tuf::run(*walk, source) || !walk->found()) continue;
    require(!walk->found()->target.hashes.empty(), "a target has a hash");
    require(walk->trusted().targets(walk->found()->role) != nullptr, "who lists a target is loaded");
  }
  const tuf::TrustedSet& trusted = walk->trusted();
  require(trusted.snapshot() != nullptr && trusted.targets() != nullptr, "after a refresh every role is there");
  require(trusted.timestamp()->expires > kNow && trusted.snapshot()->expires > kNow, "and none has expired");
  return Seen{trusted.root().version, trusted.timestamp()->version, trusted.snapshot()->meta};
}

}  // namespace

void run(ByteView input) {
  const Files files = split(as_text(input));
  Store store;
  for (const auto& [name, content] : files)
    if (!name.starts_with("1/") && !name.starts_with("2/")) store.files[name] = content;
  const auto first = refresh(store, files, "1/");
  const auto second = refresh(store, files, "2/");
  if (!first || !second) return;
  require(second->root >= first->root, "the root never goes back");
  if (second->root != first->root) return;  // other keys may begin anew
  require(second->timestamp >= first->timestamp, "the timestamp never goes back");
  for (const auto& [name, file] : first->meta) {
    const auto found = second->meta.find(name);
    require(found != second->meta.end() && found->second.version >= file.version, "no role ever goes back");
  }
}

std::vector<std::string> seeds() {
  const auto file = [](const std::string& name, const tuf::Document& document) {
    return "=" + name + "\n" + signed_file(document, {"a"}) + "\n";
  };
  tuf::Document root = easy_root(), next_root = easy_root(), targets = easy_targets(), model = easy_model();
  next_root.bump(kExpires);
  const tuf::MetaFiles one = {{"targets.json", {.version = 1, .length = {}, .hashes = {}}},
                              {"mnist.json", {.version = 1, .length = {}, .hashes = {}}}};
  const tuf::MetaFiles two = {{"targets.json", {.version = 1, .length = {}, .hashes = {}}},
                              {"mnist.json", {.version = 2, .length = {}, .hashes = {}}}};
  std::string text = file("root", root) + file("1/1.targets.json", targets) + file("1/1.mnist.json", model) +
                     file("1/1.snapshot.json", tuf::make_snapshot(1, kExpires, one)) +
                     file("1/timestamp.json", tuf::make_timestamp(1, kExpires, kNow, {1, {}, {}}));
  const std::string still = text;
  model.bump(kExpires);
  text += file("2/2.root.json", next_root) + file("2/1.targets.json", targets) + file("2/2.mnist.json", model) +
          file("2/2.snapshot.json", tuf::make_snapshot(2, kExpires, two)) +
          file("2/timestamp.json", tuf::make_timestamp(2, kExpires, kNow, {2, {}, {}}));
  const std::string local = file("root", root) +
                            file("timestamp", tuf::make_timestamp(5, kExpires, kNow, {4, {}, {}})) +
                            file("snapshot", tuf::make_snapshot(4, kExpires, two)) + file("targets", targets);
  const std::string served = file("1/timestamp.json", tuf::make_timestamp(6, kExpires, kNow, {4, {}, {}}));
  // A second state that goes back: refused, or a promise of run() is broken.
  const std::string newer = file("1/1.targets.json", targets) + file("1/2.mnist.json", model) +
                            file("1/2.snapshot.json", tuf::make_snapshot(2, kExpires, two)) +
                            file("1/timestamp.json", tuf::make_timestamp(2, kExpires, kNow, {2, {}, {}}));
  const std::string older = file("2/1.targets.json", targets) + file("2/1.mnist.json", easy_model()) +
                            file("2/3.snapshot.json", tuf::make_snapshot(3, kExpires, one)) +
                            file("2/timestamp.json", tuf::make_timestamp(3, kExpires, kNow, {3, {}, {}}));
  return {still, text, local + served + file("1/2.mnist.json", model), file("root", root) + newer + older};
}

}  // namespace drover::fuzz
