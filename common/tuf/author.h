// Making and signing metadata, for the tool (offline roles) and the server (online roles). Pure; keys are the caller's.
//
//   Document role = make_targets(expires);
//   TRY(add_target(role, "mnist/1.2.0", target));
//   TRY(role.sign(key));
//   write(role.encode());
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/signer.h"
#include "common/time/clock.h"
#include "common/tuf/assignment.h"
#include "common/tuf/metadata.h"
#include "common/tuf/verify.h"

namespace drover::tuf {

// {"keytype":"ed25519","scheme":"ed25519","keyval":{"public":hex}} with its id.
Key make_key(const crypto::PublicKey& key);
// The same of a key in a token, which may also be {"keytype":"ecdsa","scheme":"ecdsa-sha2-nistp256", ... PEM}.
Key make_key(const crypto::PublicHalf& key);
// A key object from outside (the server's GET /trust, a file): checked, its id computed.
Result<Key> read_key(const nlohmann::json& object);

// A metadata file in the making. Changing the signed part drops the signatures.
class Document {
 public:
  explicit Document(nlohmann::json signed_part) : signed_(std::move(signed_part)) {}
  // Form only, like parse_envelope; unknown fields stay.
  static Result<Document> parse(ByteView bytes, std::uint64_t limit = kMaxTargetsBytes);

  std::string type() const;
  std::int64_t version() const;
  Result<WallTime> expires() const;
  const nlohmann::json& signed_part() const { return signed_; }
  // For the functions below: drops the signatures.
  nlohmann::json& edit();

  // One version on, with a new expiry.
  void bump(WallTime expires);

  // Adds this key's signature, in place of an older one of the same key.
  Status sign(const crypto::KeyPair& key);
  // The same with a key that may be in a token: its errors pass through.
  Status sign(crypto::Signer& signer);
  // Takes over the signatures of another copy: metadata_mismatch when its signed part differs.
  Status merge(const Document& other);
  const nlohmann::json& signatures() const { return signatures_; }

  // The file's bytes. Its hash goes into the parent: encode once.
  std::string encode() const;
  Result<Envelope> envelope() const;
  // What a parent lists of these bytes: version, length, sha256.
  static Result<MetaFile> describe(ByteView encoded);

 private:
  void put_signature(const std::string& keyid, ByteView signature);

  nlohmann::json signed_;
  nlohmann::json signatures_ = nlohmann::json::array();
};

// How far a document is: who of the role signed validly, and who has not yet.
struct SignatureState {
  std::vector<std::string> signed_by;
  std::vector<std::string> missing;
  int threshold = 1;
  bool complete() const { return static_cast<int>(signed_by.size()) >= threshold; }
};
// `foreign` as for verify_threshold: without it a key that is not Ed25519 is one that has not signed.
Result<SignatureState> signature_state(const Document& document, const Keys& keys, const RoleKeys& role,
                                       ForeignVerify foreign);

// Root: version 1, consistent_snapshot, the four roles without keys yet (threshold 1).
Document make_root(WallTime expires);
// `role` is root, targets, snapshot or timestamp. Adding a key twice changes nothing.
Status add_root_key(Document& root, std::string_view role, const Key& key);
// Takes the key from the role, and from the file when no role names it any more.
Status remove_root_key(Document& root, std::string_view role, std::string_view keyid);
// Refuses below 1 and above the number of the role's keys.
Status set_root_threshold(Document& root, std::string_view role, int threshold);

// Targets or a model role: version 1, nothing in it.
Document make_targets(WallTime expires);
Status add_target(Document& targets, std::string_view path, const Target& target);  // replaces one of the same path
Status remove_target(Document& targets, std::string_view path);                     // not_found

struct DelegationSpec {
  std::string name;
  std::vector<std::string> paths;
  std::vector<Key> keys;
  int threshold = 1;
  bool terminating = true;
};
// Replaces the delegation of the same name (its place in the order stays).
Status set_delegation(Document& targets, const DelegationSpec& spec);
Status remove_delegation(Document& targets, std::string_view name);
// The project's two forms: "<model>/*", terminating; and "director/*".
DelegationSpec model_delegation(std::string model, std::vector<Key> keys, int threshold);
DelegationSpec director_delegation(Key key);

using MetaFiles = std::map<std::string, MetaFile, std::less<>>;  // by file name, "targets.json"
Document make_snapshot(std::int64_t version, WallTime expires, const MetaFiles& files);
Document make_timestamp(std::int64_t version, WallTime expires, WallTime issued, const MetaFile& snapshot);
Document make_assignment(const Assignment& assignment);

}  // namespace drover::tuf
