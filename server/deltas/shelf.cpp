#include "server/deltas/shelf.h"

#include <algorithm>
#include <charconv>

namespace drover::deltas {
namespace {

constexpr std::string_view kNone = ".none";
constexpr std::string_view kFull = ".full";
constexpr std::size_t kMaxDigits = 20;  // of 64 bits
constexpr std::string_view kTemporary = ".tmp";
constexpr std::string_view kCodec = ".v";

// "<base hex>.v<codec>"
std::optional<Edge> parse_name(std::string_view name) {
  const std::size_t dot = name.find(kCodec);
  if (dot == std::string_view::npos) return std::nullopt;
  const auto base = crypto::Digest::parse_hex(name.substr(0, dot));
  if (!base) return std::nullopt;
  Edge edge;
  edge.base = *base;
  name.remove_prefix(dot + kCodec.size());
  const auto [end, fault] = std::from_chars(name.data(), name.data() + name.size(), edge.codec);
  if (fault != std::errc() || end != name.data() + name.size() || edge.codec < 1) return std::nullopt;
  return edge;
}

}  // namespace

Status Shelf::open() {
  TRY(files_.make_folder(folder_));
  TRY_ASSIGN(const auto targets, files_.list(folder_));
  for (const std::string& name : targets)
    if (const auto target = crypto::Digest::parse_hex(name)) TRY(learn(*target));
  return {};
}

Status Shelf::learn(const crypto::Digest& target) {
  const std::string folder = folder_of(target);
  TRY_ASSIGN(const auto names, files_.list(folder));
  for (const std::string& name : names) {
    if (name.ends_with(kTemporary)) TRY(files_.remove(folder + "/" + name));
    auto edge = parse_name(name);
    if (!edge) continue;
    TRY_ASSIGN(const fs::Info info, files_.info(folder + "/" + name));
    edge->target = target;
    edge->bytes = info.size;
    const std::lock_guard lock(mutex_);
    add(*edge);
  }
  return {};
}

std::string Shelf::path(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const {
  return folder_of(target) + "/" + base.hex() + std::string(kCodec) + std::to_string(codec);
}

std::string Shelf::temporary(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const {
  return path(target, base, codec) + std::string(kTemporary);
}

Status Shelf::prepare(const crypto::Digest& target) {
  TRY(files_.make_folder(folder_of(target)));
  return files_.sync_folder(folder_);
}

Status Shelf::keep(const Edge& edge) {
  TRY(files_.rename(temporary(edge.target, edge.base, edge.codec), path(edge.target, edge.base, edge.codec)));
  TRY(files_.remove(path(edge.target, edge.base, edge.codec) + std::string(kFull)));
  TRY(files_.sync_folder(folder_of(edge.target)));
  const std::lock_guard lock(mutex_);
  add(edge);
  return {};
}

Status Shelf::note_no_room(const Edge& edge) {
  return fs::write_atomic(files_, path(edge.target, edge.base, edge.codec) + std::string(kFull),
                          std::to_string(edge.bytes));
}

std::optional<std::uint64_t> Shelf::found_no_room(const crypto::Digest& target, const crypto::Digest& base,
                                                  std::int64_t codec) const {
  const auto text = files_.read(path(target, base, codec) + std::string(kFull), kMaxDigits);
  std::uint64_t bytes = 0;
  if (!text) return std::nullopt;
  const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), bytes);
  if (fault != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return bytes;
}

Status Shelf::note_useless(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) {
  return fs::write_atomic(files_, path(target, base, codec) + std::string(kNone), "");
}

bool Shelf::is_useless(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const {
  return fs::exists(files_, path(target, base, codec) + std::string(kNone));
}

Status Shelf::remove(const Edge& edge) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = edges_.find(edge.target);
    if (found == edges_.end()) return {};
    const std::size_t gone = std::erase_if(found->second, [&](const ShelfEdge& one) { return one.edge == edge; });
    if (gone == 0) return {};
    if (found->second.empty()) edges_.erase(found);
    count_ -= gone;
    bytes_ -= edge.bytes;
  }
  return files_.remove(path(edge.target, edge.base, edge.codec));
}

std::optional<Edge> Shelf::find(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const {
  const std::lock_guard lock(mutex_);
  const auto found = edges_.find(target);
  if (found == edges_.end()) return std::nullopt;
  for (const ShelfEdge& one : found->second)
    if (one.edge.base == base && one.edge.codec == codec) return one.edge;
  return std::nullopt;
}

std::vector<Edge> Shelf::to(const crypto::Digest& target) const {
  std::vector<Edge> edges;
  const std::lock_guard lock(mutex_);
  const auto found = edges_.find(target);
  if (found == edges_.end()) return edges;
  for (const ShelfEdge& one : found->second) edges.push_back(one.edge);
  return edges;
}

std::vector<ShelfEdge> Shelf::all() const {
  std::vector<ShelfEdge> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [target, edges] : edges_) all.insert(all.end(), edges.begin(), edges.end());
  return all;
}

void Shelf::note_served(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) {
  const std::lock_guard lock(mutex_);
  if (ShelfEdge* one = look(target, base, codec)) ++one->served;
}

std::size_t Shelf::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::uint64_t Shelf::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void Shelf::add(const Edge& edge) {
  if (look(edge.target, edge.base, edge.codec) != nullptr) return;
  edges_[edge.target].push_back({edge, 0});
  ++count_;
  bytes_ += edge.bytes;
}

ShelfEdge* Shelf::look(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) {
  const auto found = edges_.find(target);
  if (found == edges_.end()) return nullptr;
  for (ShelfEdge& one : found->second)
    if (one.edge.base == base && one.edge.codec == codec) return &one;
  return nullptr;
}

}  // namespace drover::deltas
