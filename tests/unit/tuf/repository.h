// A repository in memory, made with the authoring side, for the tests of the client's side. Keys come from a seed, time
// stands still; tests change a document, sign it with whom they like, and publish it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "common/tuf/author.h"
#include "common/tuf/refresh.h"

namespace drover::tuf::testing {

using namespace std::chrono_literals;
using Signers = std::vector<const crypto::KeyPair*>;

inline const WallTime kStart{std::chrono::seconds(1'800'000'000)};

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

class MemoryStore final : public MetadataStore {
 public:
  Result<Bytes> load(std::string_view role) override {
    if (broken == role) return Error(Code::io, "the disk says no");
    if (oversized == role) return Error(Code::too_large, "over the bound");
    const auto found = files.find(role);
    if (found == files.end()) return Error(Code::not_found, std::string(role));
    return found->second;
  }
  Status save(std::string_view role, ByteView bytes) override {
    if (full) return Error(Code::disk_full, "no space");
    files[std::string(role)] = Bytes(bytes.begin(), bytes.end());
    saved.emplace_back(role);
    return {};
  }
  std::int64_t version(std::string_view role) {
    const auto found = files.find(role);
    return found == files.end() ? 0 : Document::parse(found->second)->version();
  }
  std::map<std::string, Bytes, std::less<>> files;
  std::vector<std::string> saved;
  std::string broken, oversized;
  bool full = false;
};

class MemorySource final : public MetadataSource {
 public:
  Result<Bytes> fetch(std::string_view name, std::uint64_t max_length) override {
    requests.emplace_back(name);
    const auto found = files.find(name);
    if (found == files.end()) return Error(Code::not_found, std::string(name));
    if (found->second.size() > max_length) return Error(Code::too_large, std::string(name));
    return found->second;
  }
  std::map<std::string, Bytes, std::less<>> files;
  std::vector<std::string> requests;
};

class Repository {
 public:
  Repository() {
    for (const std::string_view role : {kRoot, kTargets, kSnapshot, kTimestamp})
      add(root, role, key(std::string(role)));
    publish_root();
    publish();
  }

  // The key of a name, always the same.
  const crypto::KeyPair& key(const std::string& name) {
    auto found = keys_.find(name);
    if (found != keys_.end()) return found->second;
    crypto::Seed seed{};
    const auto digest = crypto::sha256(name).raw();
    std::copy(digest.begin(), digest.end(), seed.begin());
    return keys_.emplace(name, crypto::KeyPair::from_seed(seed)).first->second;
  }
  static Key public_key(const crypto::KeyPair& pair) { return make_key(pair.public_key()); }
  static void add(Document& root, std::string_view role, const crypto::KeyPair& pair) {
    ASSERT_TRUE(add_root_key(root, role, public_key(pair)));
  }
  static void sign(Document& document, const Signers& signers) {
    document.edit();
    for (const crypto::KeyPair* signer : signers) ASSERT_TRUE(document.sign(*signer));
  }

  // N.root.json with these signers (the root role's first key when none are given).
  void publish_root(Signers signers = {}) {
    if (signers.empty()) signers = {&key("root")};
    sign(root, signers);
    put(std::to_string(root.version()) + ".root.json", root);
  }
  void bump_root() { root.bump(expires); }

  // Everything below root, each one version on, consistently.
  void publish() {
    publish_targets();
    publish_snapshot();
    publish_timestamp();
  }
  void publish_targets() {
    for (auto& [name, document] : roles) publish_role(name, document);
    if (targets_published_) targets.bump(expires);
    targets_published_ = true;
    sign(targets, {&key("targets")});
    list("targets.json", put(std::to_string(targets.version()) + ".targets.json", targets));
  }
  void publish_role(const std::string& name, Document& document) {
    if (published_roles_[name]) document.bump(expires);
    published_roles_[name] = true;
    sign(document, {&key(name)});
    list(name + ".json", put(std::to_string(document.version()) + "." + encode_role_name(name) + ".json", document));
  }
  void publish_snapshot() {
    Document document = make_snapshot(++snapshot_version, expires, meta);
    sign(document, {&key("snapshot")});
    snapshot_file = put(std::to_string(snapshot_version) + ".snapshot.json", document);
  }
  void publish_timestamp() {
    Document document = make_timestamp(++timestamp_version, expires, kStart, snapshot_file);
    sign(document, {&key("timestamp")});
    put("timestamp.json", document);
  }
  MetaFile put(const std::string& name, const Document& document) {
    source.files[name] = bytes_of(document.encode());
    return *Document::describe(source.files[name]);
  }
  void list(const std::string& name, MetaFile file) {
    if (!with_hashes) {
      file.length.reset();
      file.hashes.clear();
    }
    meta[name] = std::move(file);
  }

  // A role below `delegator` ("targets" or another role), with a key of its own name.
  void delegate(const std::string& delegator, const std::string& name, std::vector<std::string> paths,
                bool terminating = false) {
    DelegationSpec spec{.name = name,
                        .paths = std::move(paths),
                        .keys = {public_key(key(name))},
                        .threshold = 1,
                        .terminating = terminating};
    ASSERT_TRUE(set_delegation(delegator == kTargets ? targets : roles.at(delegator), spec));
    roles.try_emplace(name, make_targets(expires));
  }
  static Target target_of(std::string_view content, nlohmann::json custom = nullptr) {
    return {
        .length = content.size(), .hashes = {{"sha256", crypto::sha256(content).hex()}}, .custom = std::move(custom)};
  }

  MemorySource source;
  WallTime expires = kStart + 24h;
  Document root = make_root(kStart + 24h);
  Document targets = make_targets(kStart + 24h);
  std::map<std::string, Document> roles;
  MetaFiles meta;
  MetaFile snapshot_file;
  std::int64_t snapshot_version = 0, timestamp_version = 0;
  bool with_hashes = true;

 private:
  std::map<std::string, crypto::KeyPair> keys_;
  std::map<std::string, bool> published_roles_;
  bool targets_published_ = false;
};

// A device: a store that begins with the repository's first root, and refreshes.
class Client {
 public:
  explicit Client(Repository& repository) : repository_(repository) {
    store.files["root"] = repository.source.files.at("1.root.json");
  }
  // ok or the code of the fault.
  Code refresh(WallTime now = kStart) {
    repository_.source.requests.clear();
    store.saved.clear();
    auto started = Refresh::start(store, now);
    if (!started) return remember(started.error());
    refresh_.emplace(std::move(*started));
    return finish();
  }
  Code find(const std::string& path) {
    refresh_->find(path);
    return finish();
  }
  const std::optional<Search::Found>& found() const { return refresh_->found(); }
  const TrustedSet& trusted() const { return refresh_->trusted(); }
  const std::vector<std::string>& requests() const { return repository_.source.requests; }
  MemoryStore store;
  std::string message;

 private:
  Code finish() {
    const Status status = run(*refresh_, repository_.source);
    return status ? Code::ok : remember(status.error());
  }
  Code remember(const Error& error) {
    message = error.message();
    return error.code();
  }
  Repository& repository_;
  std::optional<Refresh> refresh_;
};

class TufTest : public ::testing::Test {
 protected:
  Repository repository;
  Client client{repository};
};

using Names = std::vector<std::string>;

}  // namespace drover::tuf::testing
