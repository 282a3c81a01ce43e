// What the tool trusts of a server's metadata: the walk of TUF (common/tuf/refresh.h) with a store in the profile, so
// that a server can neither swap the root nor go back behind what this person has seen.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/tuf/author.h"
#include "common/tuf/refresh.h"
#include "server/cli/api.h"

namespace drover::cli {

// Files of one folder: "<role>.json", the role's name encoded.
class FolderMetadataStore final : public tuf::MetadataStore {
 public:
  explicit FolderMetadataStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<Bytes> load(std::string_view role) override;
  Status save(std::string_view role, ByteView bytes) override;
  Status forget();  // everything but the root
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path file(std::string_view role) const;
  std::filesystem::path folder_;
};

// <profile>/trust
FolderMetadataStore trust_store(const Profile& profile);

// Who signs a role, and what it says now.
struct SigningRole {
  std::optional<tuf::Document> current;  // none: the role has no metadata yet
  tuf::Keys keys;
  tuf::RoleKeys role;
};

// What is known of a server's trust, verified from the pinned root on.
class Trust {
 public:
  // Reads everything that is new. The first time the server's root is pinned, and said so with its keys. Errors:
  // not_found when trust was never initialised there; otherwise as tuf::Refresh.
  static Result<Trust> refresh(Api& api, Context& context);

  // The same, but also with metadata that has expired (and says so), a model's too: signing anew is how it becomes
  // current again. `context` must outlive the object.
  static Result<Trust> refresh_for_signing(Api& api, Context& context);

  const tuf::TrustedSet& set() const { return refresh_.trusted(); }
  const tuf::Targets& targets() const { return *set().targets(); }
  // The model's delegation; not_found with the command that makes one.
  Result<const tuf::Delegation*> delegation(std::string_view model) const;
  // The role's current metadata as it stands; nullopt when the model has none yet.
  Result<std::optional<tuf::Document>> role(Api& api, std::string_view model);
  // Of root, targets or a model.
  Result<SigningRole> signing_role(Api& api, std::string_view role);
  // "root" or "targets", as it stands.
  Result<tuf::Document> document(std::string_view role);

 private:
  static Result<Trust> walk(Api& api, Context& context, WallTime now);
  Result<std::optional<tuf::Document>> find_role(Api& api, std::string_view model);
  Trust(std::unique_ptr<FolderMetadataStore> store, tuf::Refresh refresh)
      : store_(std::move(store)), refresh_(std::move(refresh)) {}

  std::unique_ptr<FolderMetadataStore> store_;  // its address is in refresh_
  tuf::Refresh refresh_;
  Context* for_signing_ = nullptr;
};

// Key ids of a root's root role, each cut to its first 16 digits: for people to compare.
std::string describe_root(const tuf::Root& root);
std::string short_keyid(std::string_view keyid);

}  // namespace drover::cli
