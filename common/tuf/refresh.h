// The client's walk through a repository, as a machine that does no network I/O: it says which file it needs, the
// caller (a coroutine on the agent, a loop in tests) fetches it and feeds it back. What becomes trusted is written to
// the store at once, before the next file is asked for. The sequence of requests is exactly:
//   N+1.root.json until not found, timestamp.json, V.snapshot.json, V.targets.json, then V.<role>.json per search;
// what is current in the store is not asked for.
//
//   TRY_ASSIGN(Refresh refresh, Refresh::start(store, now, crypto::verify_pem));
//   for (;;) { auto step = refresh.next(); if (auto* need = std::get_if<NeedFile>(&step)) ... refresh.feed(bytes); ...
//   }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/tuf/trusted_set.h"

namespace drover::tuf {

// Where trusted metadata is kept, by role name ("root", "timestamp", "snapshot", "targets", a delegated role; the name
// may hold any character: see encode_role_name). Bytes are kept exactly as received.
class MetadataStore {
 public:
  virtual ~MetadataStore() = default;
  virtual Result<Bytes> load(std::string_view role) = 0;  // not_found when there is none
  // Atomic: after a crash the file is the old one or the new one.
  virtual Status save(std::string_view role, ByteView bytes) = 0;
};

// Where metadata comes from, for callers that may block.
class MetadataSource {
 public:
  virtual ~MetadataSource() = default;
  // not_found when the repository has no such file; too_large when it has more than `max_length` bytes.
  virtual Result<Bytes> fetch(std::string_view file_name, std::uint64_t max_length) = 0;
};

struct NeedFile {
  std::string name;  // percent-encoded: to be appended to the metadata URL as it is
  std::uint64_t max_length = 0;
};
struct Done {};
using RefreshStep = std::variant<NeedFile, Done, Error>;

class Refresh {
 public:
  // Reads the trusted root from the store; not_found or any trust error when it does not serve. `store` must outlive
  // the object. `now` is fixed for the whole walk.
  static Result<Refresh> start(MetadataStore& store, WallTime now, ForeignVerify foreign = nullptr);

  // What is to be done next; the same until feed() or a new find(). Done: metadata is current, or the search has ended.
  RefreshStep next();
  // The file that was asked for. not_found is an ordinary answer while roots are walked, else an error. Any other
  // error ends the walk with it (what was trusted so far stays stored).
  void feed(Result<Bytes> file);

  // After Done: searches the delegations for a target path; next() then asks for roles until Done. A search that failed
  // does not stop the next one: one model's broken role is no other model's fault.
  void find(std::string target_path);
  // After that Done: the target and who lists it; empty when nobody does.
  const std::optional<Search::Found>& found() const { return found_; }

  // Also after an error: what is trusted so far.
  const TrustedSet& trusted() const { return trusted_; }

 private:
  enum class Phase { roots, timestamp, snapshot, targets, search, done, failed };

  Refresh(MetadataStore& store, TrustedSet trusted) : store_(&store), trusted_(std::move(trusted)) {}

  Status take_root(Result<Bytes> file);
  Status take_timestamp(Result<Bytes> file);
  Status take_snapshot(Result<Bytes> file);
  Status take_role(Result<Bytes> file);
  Status end_roots();
  Status begin_snapshot();
  Status begin_targets();
  Status continue_search();
  Result<std::optional<Bytes>> load_local(std::string_view role);
  Status load_guard(std::string_view role, Status (TrustedSet::*guard)(ByteView));
  bool load_local_role(std::string_view role, std::string_view delegator);
  NeedFile need_role(std::string_view role) const;
  void settle(Status status);

  MetadataStore* store_;
  TrustedSet trusted_;
  Phase phase_ = Phase::roots;
  int roots_taken_ = 0;
  bool refreshed_ = false;
  std::optional<Search> search_;
  std::optional<Search::NeedRole> wanted_role_;
  std::optional<Search::Found> found_;
  std::optional<Error> error_;
};

// Drives a refresh to its end with a source that blocks.
Status run(Refresh& refresh, MetadataSource& source);

}  // namespace drover::tuf
