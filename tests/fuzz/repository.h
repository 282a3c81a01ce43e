// Metadata for the fuzz targets, signed by keys that need no arithmetic: any signature whose bytes are 01 is theirs. So
// what the fuzzer changes stays validly signed, and it gets past the signatures into the rules.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/tuf/author.h"
#include "common/tuf/verify.h"

namespace drover::fuzz {

inline const WallTime kNow{std::chrono::seconds(1'800'000'000)};
inline const WallTime kExpires = kNow + std::chrono::hours(24);

inline bool easy_signature(std::string_view, std::string_view, ByteView, ByteView signature) {
  return signature.size() == 1 && signature[0] == 1;
}

inline tuf::Key easy_key(const std::string& name) {
  return *tuf::read_key({{"keytype", "ecdsa"}, {"scheme", "ecdsa-sha2-nistp256"}, {"keyval", {{"public", name}}}});
}

// The file of a document, with one signature for each key.
inline std::string signed_file(const tuf::Document& document, const std::vector<std::string>& keys) {
  nlohmann::json signatures = nlohmann::json::array();
  for (const std::string& key : keys) signatures.push_back({{"keyid", easy_key(key).id}, {"sig", "01"}});
  return nlohmann::json({{"signatures", signatures}, {"signed", document.signed_part()}}).dump();
}

// A root whose roles are all signed by the key "a".
inline tuf::Document easy_root() {
  tuf::Document root = tuf::make_root(kExpires);
  for (const std::string_view role : {tuf::kRoot, tuf::kTimestamp, tuf::kSnapshot, tuf::kTargets})
    (void)tuf::add_root_key(root, role, easy_key("a"));
  return root;
}

inline tuf::Target easy_target() {
  const nlohmann::json custom = {{"kinds", {"kiosk"}}, {"release_counter", 3}};
  return {.length = 5, .hashes = {{"sha256", std::string(64, 'a')}}, .custom = custom};
}

// Targets that delegate "mnist" and the director to the key "a".
inline tuf::Document easy_targets() {
  tuf::Document targets = tuf::make_targets(kExpires);
  (void)tuf::set_delegation(targets, tuf::model_delegation("mnist", {easy_key("a"), easy_key("b")}, 1));
  (void)tuf::set_delegation(targets, tuf::director_delegation(easy_key("a")));
  return targets;
}

inline tuf::Document easy_model() {
  tuf::Document model = tuf::make_targets(kExpires);
  (void)tuf::add_target(model, "mnist/1", easy_target());
  return model;
}

}  // namespace drover::fuzz
