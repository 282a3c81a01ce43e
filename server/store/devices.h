// Devices in the database: identity, attributes, tags, what they run, what they were told to run.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "common/time/clock.h"
#include "proto/wire/device.h"
#include "server/fleet/device.h"
#include "server/fleet/group.h"

namespace drover::store {

using DeviceNo = std::int64_t;

struct Device {
  DeviceNo no = 0;
  fleet::DeviceView view;
  crypto::PublicKey key{};
  WallTime enrolled_at{};  // epoch: not yet
  WallTime last_seen{};    // epoch: never
  std::string identity_digest;
  std::uint64_t acked_seq = 0;
  // Of the last report taken. A report whose counter does not go on is a conflict: the device's memory went back (a
  // copy of its disk was brought back), or two devices hold its key, or somebody tells an old report again.
  std::uint64_t report_counter = 0;  // 0: none yet that was counted
  std::string report_digest;         // SHA-256 of its payload, hexadecimal
  std::int64_t report_conflicts = 0;
  WallTime conflict_at{};  // the last one; epoch: never
};

struct TakenReport {
  std::uint64_t counter = 0;
  std::string digest;
  std::string_view payload, signature;  // as they came; kept, beside what was read out of them, until the next one
};

struct DeviceFilter {
  const fleet::Group* group = nullptr;  // null: every device
  std::optional<fleet::DeviceState> state;
  std::string_view kind;  // empty: every kind
};

// The last document that the director signed for a device.
struct StoredAssignment {
  std::int64_t version = 0;
  WallTime expires{};
  std::string content;   // what it says, without version and time: equal content needs no new document
  std::string document;  // the exact bytes
};

struct KindCount {
  std::string kind;
  std::int64_t devices = 0;
};

struct ReleaseCount {
  std::string release;
  std::int64_t devices = 0;
};
// Devices looked at to find what a fleet runs: enough to tell which releases matter, whatever the size of the fleet.
inline constexpr std::int64_t kRunSample = 200'000;

struct StoredEvent {
  wire::Event event;
  WallTime received_at{};
};

inline constexpr std::int64_t kEventsKept = 200;  // of one device; older ones are dropped as new ones come
inline constexpr std::size_t kMaxTags = 64;       // of one device

class Devices {
 public:
  virtual ~Devices() = default;

  virtual Result<std::optional<Device>> find(DeviceNo no) const = 0;
  virtual Result<std::optional<Device>> find_id(std::string_view id) const = 0;
  // In the order of enrolment, behind `after`.
  virtual Result<std::vector<Device>> list(const DeviceFilter& filter, DeviceNo after, std::size_t limit) const = 0;
  // How many match, counting no further than `limit`. timeout when finding out takes too much work.
  virtual Result<std::int64_t> count(const DeviceFilter& filter, std::int64_t limit) const = 0;
  // Active devices by kind; costs the same whatever the size of the fleet.
  virtual Result<std::vector<KindCount>> kinds() const = 0;
  virtual Result<std::int64_t> count_state(fleet::DeviceState state) const = 0;
  // Of the first `sample` active devices of a kind in the order of their ids (which are hashes), those in the group.
  virtual Result<std::int64_t> count_sample(const fleet::Group& group, std::string_view kind,
                                            std::int64_t sample) const = 0;
  // Active members of a kind whose bucket under `salt` is below `threshold`; looks at every device of the kind.
  virtual Result<std::int64_t> count_below(const fleet::Group& group, std::string_view kind, std::string_view salt,
                                           std::uint64_t threshold) const = 0;
  // The bucket of the k-th (from 1) active member of a kind in the order of buckets; looks at every device of the kind.
  virtual Result<std::optional<std::uint64_t>> bucket_of(const fleet::Group& group, std::string_view kind,
                                                         std::string_view salt, std::int64_t k) const = 0;

  virtual Result<std::vector<wire::Installed>> installed(DeviceNo no) const = 0;
  // The releases of a model that devices run, the most-run first; among kRunSample of them in a larger fleet.
  virtual Result<std::vector<ReleaseCount>> releases_run(std::string_view model, std::size_t limit) const = 0;
  virtual Result<std::optional<StoredAssignment>> assignment(DeviceNo no) const = 0;
  // Newest first.
  virtual Result<std::vector<StoredEvent>> events(DeviceNo no, std::size_t limit) const = 0;

  // already_exists for a known id. `device.no` is given by the database and returned.
  virtual Result<DeviceNo> insert(const Device& device) = 0;
  virtual Status set_state(const Device& device, fleet::DeviceState state, WallTime at) = 0;
  // Name, kind and attributes of `view`, and their digest.
  virtual Status set_identity(const Device& before, const fleet::DeviceView& view, std::string_view digest) = 0;
  virtual Status set_name(DeviceNo no, std::string_view name) = 0;
  // too_large beyond kMaxTags.
  virtual Status change_tags(DeviceNo no, std::span<const std::string> add, std::span<const std::string> remove) = 0;
  virtual Status set_acked(DeviceNo no, std::uint64_t seq) = 0;
  virtual Status set_report(DeviceNo no, const TakenReport& report, WallTime at) = 0;
  virtual Status add_conflict(DeviceNo no, WallTime at) = 0;
  virtual Status touch(std::span<const DeviceNo> devices, WallTime at) = 0;
  virtual Status replace_installed(DeviceNo no, std::span<const wire::Installed> installed) = 0;
  virtual Status put_assignment(DeviceNo no, const StoredAssignment& assignment) = 0;
  // Keeps the newest kEventsKept.
  virtual Status add_event(DeviceNo no, const wire::Event& event, WallTime at) = 0;
};

}  // namespace drover::store
