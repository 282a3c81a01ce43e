// The director's document, validly signed whatever the fuzzer makes of it, and its agreement with a release.
#include "common/tuf/assignment.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/repository.h"

namespace drover::fuzz {
namespace {

const std::string kDevice = "d" + std::string(32, '0');

const tuf::Targets& trusted() {
  static const tuf::Targets targets = *tuf::parse_targets(*easy_targets().envelope());
  return targets;
}

}  // namespace

void run(ByteView input) {
  for (const std::string_view nonce : {"", "n1"}) {
    tuf::AssignmentRules rules;
    rules.device_id = kDevice;
    rules.last_version = 4;
    rules.nonce = nonce;
    rules.now = kNow;
    const auto assignment = tuf::verify_assignment(trusted(), input, rules, easy_signature);
    if (!assignment) continue;
    require(assignment->device_id == kDevice, "it is for this device");
    require(assignment->version >= 4 && assignment->expires > kNow, "it is neither older nor expired");
    require(nonce.empty() || assignment->nonce == nonce, "it answers the question");
    const tuf::Target listed = easy_target();
    for (const auto& [path, assigned] : assignment->targets) {
      require(tuf::parse_release_name(path).has_value(), "a target is a release");
      (void)tuf::check_agreement(assigned, &listed, {.kind = "kiosk", .counter_floor = 2});
      require(!tuf::check_agreement(assigned, nullptr, {.kind = "kiosk", .counter_floor = 0}), "nothing unlisted runs");
    }
    const auto again = tuf::parse_assignment(*tuf::make_assignment(*assignment).envelope());
    require(again && again->targets.size() == assignment->targets.size(), "it is written and read again");
  }
}

std::vector<std::string> seeds() {
  tuf::AssignedTarget target{.length = 5,
                             .hashes = {{"sha256", std::string(64, 'a')}},
                             .kind = "kiosk",
                             .variant = crypto::sha256(std::string_view("manifest")),
                             .release_counter = 3,
                             .deployment = "dep-1",
                             .rollback = false};
  tuf::Assignment assignment{.version = 5,
                             .issued = kNow,
                             .expires = kExpires,
                             .device_id = kDevice,
                             .nonce = "n1",
                             .targets = {{"mnist/1", target}, {"yolo/2.0", target}}};
  const std::string two = signed_file(tuf::make_assignment(assignment), {"a"});
  assignment.targets.clear();
  return {two, signed_file(tuf::make_assignment(assignment), {"a"})};
}

}  // namespace drover::fuzz
