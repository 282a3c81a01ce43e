// The metadata that is trusted at this moment, and the rules by which it grows (TUF 1.0.34, section 5). Pure: bytes in,
// decision out; one fixed `now` for the whole update. What fails leaves the set as it was, unless told otherwise below.
//
//   root:      create() from what is on the device, update_root() for N+1.root.json until there is none, finish_root()
//   timestamp: guard_timestamp() with the local file, then update_timestamp()
//   snapshot:  guard_snapshot() with the local file, then update_snapshot() unless the local one is current
//   targets:   update_targets(), from the local file or fetched
//   search:    Search, which asks for delegated roles one by one (update_delegated)
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/time/clock.h"
#include "common/tuf/metadata.h"
#include "common/tuf/verify.h"

namespace drover::tuf {

enum class TimestampChange {
  newer,  // taken: to be written down
  same,   // the version that is trusted already; it stays, whatever the new bytes say
};

class TrustedSet {
 public:
  // The root must be signed by itself; its expiry does not matter here. Any failure: this device has no trust anchor.
  static Result<TrustedSet> create(ByteView root, WallTime now, ForeignVerify foreign = nullptr);

  // Version exactly N+1 (metadata_mismatch), signed by the thresholds of N and of N+1. Expiry is not looked at.
  Status update_root(ByteView bytes);
  // The chain has ended: metadata_expired when the last root is too old. Needed before anything below.
  Status finish_root();

  // The local timestamp as a guard against rollback; its expiry does not matter. One that does not verify under the
  // present root guards nothing (that is how a repository recovers from a fast-forward attack).
  Status guard_timestamp(ByteView bytes);
  // The local snapshot, before update_timestamp(): when it is whole and was signed by keys that the root no longer
  // names, the snapshot's versions may begin anew. So a repository comes back from a fast-forward attack with a new
  // snapshot key alone, and an old snapshot still does not come back: its keys are gone. What such a recovery forgets
  // of the models' roles is held by the release counter (assignment.h), which offline keys sign.
  void notice_rotation(ByteView snapshot);
  // metadata_rollback for a lower version or a lower version of the snapshot; metadata_expired (also when the trusted
  // one of the same version is).
  Result<TimestampChange> update_timestamp(ByteView bytes);

  // The local snapshot as a guard: signature only. After it, snapshot_is_current() tells whether it serves as it is.
  Status guard_snapshot(ByteView bytes);
  bool snapshot_is_current() const;
  // Length, hashes, signature, version as in the timestamp, no role lower or missing than in the trusted one, expiry.
  Status update_snapshot(ByteView bytes);

  // Length, hashes, signature by `delegator` (root for "targets"), version as in the snapshot, expiry.
  Status update_targets(ByteView bytes);
  Status update_delegated(ByteView bytes, std::string_view role, std::string_view delegator);
  // A role that was loaded through another delegator must satisfy this one too.
  Status check_authority(std::string_view role, std::string_view delegator) const;

  WallTime now() const { return now_; }
  const Root& root() const { return root_; }
  const Timestamp* timestamp() const { return timestamp_ ? &*timestamp_ : nullptr; }
  const Snapshot* snapshot() const { return snapshot_ ? &*snapshot_ : nullptr; }
  // "targets" or a delegated role; null when it is not loaded.
  const Targets* targets(std::string_view role = kTargets) const;
  // What the snapshot lists of a role; null when it does not.
  const MetaFile* listed(std::string_view role) const;
  ForeignVerify foreign() const { return foreign_; }

 private:
  struct Loaded {
    Targets targets;
    Envelope envelope;
    std::string verified_by;  // the delegator whose keys were looked at; empty when that role has been replaced since
  };
  TrustedSet(Root root, WallTime now, ForeignVerify other) : root_(std::move(root)), now_(now), foreign_(other) {}

  Status verify_by_root(std::string_view role, const Envelope& envelope) const;
  Status verify_by_delegator(std::string_view role, std::string_view delegator, const Envelope& envelope) const;
  Status check_snapshot_rollback(const Snapshot& next) const;
  Status check_expiry(std::string_view role, WallTime expires) const;
  Result<Loaded> load_targets(ByteView bytes, std::string_view role) const;

  Root root_;
  WallTime now_;
  ForeignVerify foreign_;
  bool root_is_final_ = false;
  std::optional<Timestamp> timestamp_;
  std::optional<Snapshot> snapshot_;
  bool snapshot_key_rotated_ = false;
  bool snapshot_matches_ = false;  // length and hashes are those that the timestamp lists
  std::map<std::string, Loaded, std::less<>> targets_;
};

// A pre-order, depth-first search for the role that lists a target. Terminating delegations end it, no role is
// visited twice, at most kMaxDelegations roles are visited.
class Search {
 public:
  struct NeedRole {
    std::string role;
    std::string delegator;
  };
  struct Found {
    Target target;
    std::string role;  // who lists it
  };
  struct NotListed {};
  using Step = std::variant<NeedRole, Found, NotListed, Error>;

  explicit Search(std::string target_path);
  // Goes as far as it can with what `trusted` has loaded; after a NeedRole the caller loads that role and asks again.
  Step advance(const TrustedSet& trusted);

 private:
  struct Visit {
    std::string role;
    std::string delegator;
  };
  void push_children(const Targets& role, const std::string& name);

  std::string path_;
  std::vector<Visit> to_visit_;
  std::vector<std::string> visited_;
};

}  // namespace drover::tuf
