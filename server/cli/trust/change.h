// A change of trust: new versions of one or several metadata files that only make sense together, beside what they
// change. People collect signatures on it in one file, on machines with and without network; it is published as a
// whole. Pure but for the loader of Present.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tuf/author.h"
#include "common/tuf/verify.h"

namespace drover::cli {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxChangeFile = 32u
                                              << 20;  // the new files (8 MiB go to the server), the old ones, and roots

// The metadata as it stands. `roots` ends with the present one; empty when the server has no trust yet.
struct Present {
  using Models = std::map<std::string, std::optional<tuf::Document>, std::less<>>;
  using Load = std::function<Result<std::optional<tuf::Document>>(const std::string& model)>;

  std::vector<tuf::Document> roots;
  std::optional<tuf::Document> targets;
  Models models;  // those that were asked for; none: the model has no metadata yet
  Load load;      // empty: there is no more than `models`

  const tuf::Document* root() const { return roots.empty() ? nullptr : &roots.back(); }
  Result<const std::optional<tuf::Document>*> model(const std::string& name);
};

// Whose signatures a file of the change wants. Root wants two sets: those of the root before and its own.
struct Needed {
  std::string role;
  std::string by;  // "root 3", "root 4", "targets 7"
  tuf::Keys keys;
  tuf::RoleKeys signers;
  tuf::SignatureState state;
};

class Change {
 public:
  explicit Change(Present present) : present_(std::move(present)) {}

  // The file as this change leaves it: its next version, made from the present one at the first call. `expires` counts
  // at that first call.
  Result<tuf::Document*> edit(const std::string& role, WallTime expires);
  // A file that the server does not have yet (version 1).
  void create(const std::string& role, tuf::Document document) { files_.insert_or_assign(role, std::move(document)); }

  // What devices will read: the file of this change, or the present one.
  Result<tuf::Root> root() const;
  Result<tuf::Targets> targets() const;

  // Takes in what the change would leave without valid signatures, to be signed anew: targets after another root,
  // models whose managers have changed. Their expiry stays where it is, unless that has passed.
  Status follow(WallTime now, WallTime expires);

  Result<std::vector<Needed>> needed() const;
  // All thresholds are met.
  Result<bool> complete() const;

  // Root, targets, models.
  std::vector<std::string> roles() const;
  const tuf::Document& file(const std::string& role) const { return files_.find(role)->second; }
  tuf::Document& file(const std::string& role) { return files_.find(role)->second; }
  bool has(const std::string& role) const { return files_.contains(role); }
  const tuf::Document* before(const std::string& role) const;
  Present& present() { return present_; }
  const Present& present() const { return present_; }

  // Takes over the other's signatures; metadata_mismatch when it says something else.
  Status merge(const Change& other);

  // {"drover":"trust-change","version":1,"files":{...},"present":{"roots":[...],"targets":...,"models":{...}}}
  std::string encode() const;
  static Result<Change> decode(std::string_view text);
  // What POST /metadata takes.
  Json publication() const;

 private:
  Status follow_targets(WallTime now, WallTime expires);
  Status follow_models(WallTime now, WallTime expires);
  Status sign_anew(const std::string& role, WallTime now, WallTime expires);
  Result<Needed> needed_of_child(const std::string& role) const;

  Present present_;
  std::map<std::string, tuf::Document> files_;
};

Result<tuf::Root> parse_root(const tuf::Document& document);
Result<tuf::Targets> parse_targets(const tuf::Document& document);

// Looks that `present` hangs together: each root signed by the one before, targets by root, models by targets. `pinned`
// must be one of the roots, or be older and vouch for the first that is given; null: nothing is pinned, and the roots
// speak for themselves.
Status verify_present(const Present& present, const tuf::Document* pinned);
// One model's metadata, by whom targets names for it.
Status verify_model(const tuf::Targets& targets, const std::string& name, const tuf::Document& model);

}  // namespace drover::cli
