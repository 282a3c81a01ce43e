// What the commands that change trust share: their options, where the present metadata comes from, and the end: show
// it, sign it, write it to a file, publish it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/cli/api.h"
#include "server/cli/command.h"
#include "server/cli/context.h"
#include "server/cli/signers.h"
#include "server/cli/trust/change.h"

namespace drover::cli {

inline constexpr std::int64_t kTrustDays = 365;  // until root or targets expires, unless told otherwise
inline constexpr std::int64_t kMaxTrustDays = 3650;
inline constexpr std::int64_t kMaxThreshold = 64;

struct ChangeOptions {
  std::vector<std::string> keys;
  std::string out, from;
  std::int64_t days = kTrustDays;
  bool dry_run = false;
  PassphraseOption passphrase;

  // --key, --dry-run, --out, --from, --expires-days, --passphrase-file. `key_names` in place of "--key".
  void declare(CommandSpec& command, std::string key_names = "--key");
  WallTime expires(const Context& context) const;
};

// Everything that a change may touch, of the server (checked from the pinned root on) or of a folder that `trust fetch`
// wrote.
Result<Present> present_of_server(Api& api, Context& context);
Result<Present> present_of_folder(const std::string& folder, Context& context);
// All roots of the server up to `version`: what people without network need to walk from the root that they know.
Result<std::vector<tuf::Document>> root_chain(Api& api, std::int64_t version);
// The root that this machine's profile has pinned; none when there is no profile or nothing is pinned.
Result<std::optional<tuf::Document>> pinned_root(const Context& context);

using Edit = std::function<Status(Change& change, Api* api)>;  // `api`: null with --from
// Reads what is there, edits, takes in what must follow, and ends as finish_change().
Result<int> make_change(const ChangeOptions& options, Context& context, const Edit& edit);

// With --dry-run: shows. Else signs with each key what it may sign; when a threshold is not met, or without network,
// the change must have an --out and waits there; a complete one is published.
Result<int> finish_change(Change change, const ChangeOptions& options, Api* api, Context& context);

// Signs with each key the files that it may sign. A key of another role is passed over, with a note; unknown_key for
// one that has no role at all.
Status sign_change(Change& change, const std::vector<NamedKey>& keys, const Context& context);
Status publish_change(const Change& change, Api& api);
Result<Change> read_change(const std::string& file);

}  // namespace drover::cli
