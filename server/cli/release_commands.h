// What the release commands share: a release folder as `release build` writes it, and the pieces of the group.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/package/layout.h"
#include "common/tuf/author.h"
#include "server/cli/api.h"
#include "server/cli/command.h"
#include "server/cli/context.h"
#include "server/cli/trust_store.h"

namespace drover::cli {

// An OCI layout and, under drover/, what only this product reads.
struct ReleaseFolder {
  package::Layout layout;
  package::StoredIndex index;
  std::optional<std::int64_t> release_counter;  // of drover/release.json, when it was given at build time

  const std::string& model() const { return index.index.model; }
  const std::string& version() const { return index.index.version; }
  std::string target_path() const { return model() + "/" + version(); }
  // The model role's next metadata, while it collects signatures.
  std::filesystem::path metadata_file() const { return layout.folder() / "drover" / (model() + ".json"); }
};

// Reads and checks the folder: everything that the server will check of it. Errors name the first fault.
Result<ReleaseFolder> open_release(const std::filesystem::path& folder);
Status save_release_counter(const std::filesystem::path& folder, std::int64_t counter);

// The release as a TUF target.
tuf::Target release_target(const ReleaseFolder& release, std::int64_t counter);
// The highest counter that the role lists for any release; 1 when there is none.
Result<std::int64_t> highest_counter(const std::optional<tuf::Document>& role);
// The role's targets; empty for none.
Result<tuf::Targets> parse_role(const std::optional<tuf::Document>& role);

// Uploads what the server lacks of the folder and publishes its metadata; the shared end of push and import.
// `key_file`: of the content keys; empty: beside the folder. An encrypted release is not published without it.
Result<int> push_release(const ReleaseFolder& release, const std::string& key_file, Api& api, Context& context);

Status check_release_name(const std::string& model, const std::string& version);

void declare_release_build(CommandSpec& release, Context& context);
void declare_release_sign(CommandSpec& release, Context& context);
void declare_release_push(CommandSpec& release, Context& context);
void declare_release_list(CommandSpec& release, Context& context);  // list, show
void declare_release_withdraw(CommandSpec& release, Context& context);
void declare_release_transfer(CommandSpec& release, Context& context);  // export, import

}  // namespace drover::cli
