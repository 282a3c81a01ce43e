#include "common/tuf/assignment.h"

#include <algorithm>
#include <set>

#include "common/crypto/ed25519.h"
#include "common/tuf/parse_impl.h"

namespace drover::tuf {
namespace {

constexpr std::size_t kMaxKindText = 64;
constexpr std::size_t kMaxKinds = 256;
constexpr std::size_t kMaxNonce = 128;
constexpr std::size_t kMaxIdText = 128;

Result<AssignedTarget> read_assigned(const std::string& path, const json::Value& value) {
  json::Reader in = open_reader(value, "/signed/targets/" + path);
  AssignedTarget target;
  target.length = static_cast<std::uint64_t>(in.integer("length", 0, INT64_MAX));
  target.hashes = read_hashes(in);
  std::string variant;
  in.object("custom", [&](json::Reader& custom) {
    target.kind = custom.text("kind", kMaxKindText);
    variant = custom.text("variant", kMaxTextLength);
    target.release_counter = custom.integer("release_counter", 0, INT64_MAX);
    target.deployment = custom.text("deployment", kMaxIdText);
    target.rollback = custom.boolean_or("rollback", false);
  });
  const auto sha256 = target.hashes.find("sha256");
  // It becomes a file name on the device: nothing but a digest may stand there.
  if (sha256 == target.hashes.end() || !crypto::Digest::parse_hex(sha256->second))
    in.fail("hashes/sha256", "must be there, with 64 lower-case hexadecimal digits");
  TRY(in.finish());
  TRY_ASSIGN(target.variant, crypto::Digest::parse(variant).within("/signed/targets/" + path + "/custom/variant"));
  return target;
}

Status check_signature(const Targets& targets, const Envelope& envelope, ForeignVerify foreign) {
  const Delegation* director = targets.delegation(kDirector);
  if (director == nullptr) return Error(Code::unknown_key, "the targets role delegates no director");
  return verify_threshold(targets.delegation_keys, director->keys, envelope, foreign);
}

Status check_rules(const Assignment& assignment, const AssignmentRules& rules) {
  if (assignment.device_id != rules.device_id)
    return Error(Code::wrong_device, "it is for the device " + assignment.device_id);
  if (assignment.version < rules.last_version)
    return Error(Code::metadata_rollback,
                 "version " + std::to_string(assignment.version) + " after " + std::to_string(rules.last_version));
  if (!rules.nonce.empty() && assignment.nonce != rules.nonce)
    return Error(Code::metadata_mismatch, "it does not answer this device's question (another nonce)");
  if (rules.now >= assignment.expires)
    return Error(Code::metadata_expired, "it has expired at " + format_time(assignment.expires));
  return {};
}

}  // namespace

Result<Assignment> parse_assignment(const Envelope& envelope) {
  Common common;
  TRY(read_common(envelope, kAssignmentType, common));
  if (common.version > kMaxAssignmentVersion) return Error(Code::malformed, "/signed/version: is beyond all numbers");
  Assignment assignment{
      .version = common.version, .issued = {}, .expires = common.expires, .device_id = {}, .nonce = {}, .targets = {}};
  json::Reader in = open_reader(envelope.signed_part, "/signed");
  const std::string issued = in.text("issued", 32);
  assignment.device_id = in.text("device_id", kMaxIdText);
  assignment.nonce = in.text_or("nonce", "", kMaxNonce);
  if (!crypto::is_device_id(assignment.device_id)) in.fail("device_id", "must be the name of a device");
  TRY(in.finish());
  TRY_ASSIGN(assignment.issued, parse_time(issued).within("/signed/issued"));
  std::set<std::string> models;
  const auto read_one = [&](const std::string& path, const json::Value& value) -> Status {
    TRY_ASSIGN(const ReleaseName name, parse_release_name(path));
    if (!models.insert(name.model).second)
      return Error(Code::malformed, "/signed/targets: two releases of " + name.model);
    TRY_ASSIGN(AssignedTarget target, read_assigned(path, value));
    assignment.targets.emplace(path, std::move(target));
    return {};
  };
  TRY(each_member(envelope.signed_part, "targets", kMaxAssignedTargets, read_one));
  return assignment;
}

Result<Assignment> verify_assignment(const Targets& targets, ByteView bytes, const AssignmentRules& rules,
                                     ForeignVerify foreign) {
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxAssignmentBytes).within("assignment"));
  TRY(check_signature(targets, envelope, foreign).within("assignment"));
  TRY_ASSIGN(Assignment assignment, parse_assignment(envelope).within("assignment"));
  TRY(check_rules(assignment, rules).within("assignment"));
  return assignment;
}

Result<ReleaseCustom> parse_release_custom(const nlohmann::json& object) {
  json::Reader in = open_reader(object, "/custom");
  ReleaseCustom custom;
  custom.release_counter = in.integer("release_counter", 0, INT64_MAX);
  custom.kinds = in.texts_or_none("kinds", kMaxKinds, kMaxKindText);
  if (custom.kinds.empty()) in.fail("kinds", "must name at least one kind of device");
  TRY(in.finish());
  return custom;
}

nlohmann::json release_custom_json(const ReleaseCustom& custom) {
  return {{"release_counter", custom.release_counter}, {"kinds", custom.kinds}};
}

Status check_agreement(const AssignedTarget& assigned, const Target* listed, const AgreementRules& rules) {
  if (listed == nullptr) return Error(Code::target_not_listed, "the release managers do not list this release");
  if (assigned.kind != rules.kind)
    return Error(Code::wrong_kind, "it is assigned for the kind \"" + assigned.kind + "\", and this device is a \"" +
                                       std::string(rules.kind) + "\"");
  if (assigned.length != listed->length || assigned.hashes != listed->hashes)
    return Error(Code::target_mismatch, "the director and the release managers name different bytes");
  auto custom = parse_release_custom(listed->custom);
  if (!custom) return Error(Code::target_mismatch, custom.error().message());
  if (std::find(custom->kinds.begin(), custom->kinds.end(), rules.kind) == custom->kinds.end())
    return Error(Code::target_mismatch,
                 "the release managers did not make it for the kind \"" + std::string(rules.kind) + "\"");
  if (custom->release_counter != assigned.release_counter)
    return Error(Code::target_mismatch, "the director and the release managers name different release counters");
  if (custom->release_counter < rules.counter_floor)
    return Error(Code::counter_below_floor, "release counter " + std::to_string(custom->release_counter) +
                                                " is below " + std::to_string(rules.counter_floor));
  return {};
}

}  // namespace drover::tuf
