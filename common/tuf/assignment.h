// The director's document: what one device should run. And the rules by which it must agree with the releases that
// the release managers signed. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/time/clock.h"
#include "common/tuf/metadata.h"
#include "common/tuf/verify.h"

namespace drover::tuf {

struct AssignedTarget {
  std::uint64_t length = 0;  // of the release's index
  std::map<std::string, std::string, std::less<>> hashes;
  std::string kind;        // the hardware kind that the director believes the device to be
  crypto::Digest variant;  // the manifest of the variant that is to be installed
  std::int64_t release_counter = 0;
  std::string deployment;
  bool rollback = false;  // an intended step back to an older release
};

struct Assignment {
  std::int64_t version = 0;
  WallTime issued{};
  WallTime expires{};
  std::string device_id;
  std::string nonce;                                           // the device's own, echoed; may be empty
  std::map<std::string, AssignedTarget, std::less<>> targets;  // by "<model>/<version>", at most one a model
};

// Form only.
Result<Assignment> parse_assignment(const Envelope& envelope);

struct AssignmentRules {
  std::string_view device_id;
  std::int64_t last_version = 0;  // the highest seen so far: a lower one is refused
  std::string_view nonce;         // when not empty, the document must echo it
  WallTime now{};
};

// Signature by the keys that `targets` delegates to "director", then the device named (wrong_device), then version
// (metadata_rollback), nonce (metadata_mismatch), expiry (metadata_expired).
Result<Assignment> verify_assignment(const Targets& targets, ByteView bytes, const AssignmentRules& rules,
                                     ForeignVerify foreign = nullptr);

// What release managers say of a release beside its bytes: custom = {"release_counter":N,"kinds":[...]}.
struct ReleaseCustom {
  std::int64_t release_counter = 0;
  std::vector<std::string> kinds;
};
Result<ReleaseCustom> parse_release_custom(const nlohmann::json& custom);
nlohmann::json release_custom_json(const ReleaseCustom& custom);

struct AgreementRules {
  std::string_view kind;           // what this device is
  std::int64_t counter_floor = 0;  // the highest release counter ever installed for this model
};

// `listed` is what the search of the release metadata found (null: nothing) for the path under which `assigned` stands.
// target_not_listed; wrong_kind; target_mismatch (length, any hash, kind, counter); counter_below_floor.
Status check_agreement(const AssignedTarget& assigned, const Target* listed, const AgreementRules& rules);

}  // namespace drover::tuf
