#include "common/tuf/metadata.h"

#include <algorithm>
#include <set>

#include "common/tuf/canonical.h"
#include "common/tuf/parse_impl.h"

namespace drover::tuf {
namespace {

constexpr std::size_t kMaxHashes = 8;
constexpr std::size_t kMaxTimeText = 32;

FileSignature read_signature(json::Reader& in) {
  FileSignature signature;
  signature.keyid = in.text("keyid", kMaxTextLength);
  const std::string hex = in.text("sig", 2 * kMaxSignatureBytes);
  // Partly signed files hold empty signatures: not an error here, but never valid either.
  if (auto bytes = from_hex(hex)) signature.signature = std::move(*bytes);
  return signature;
}

Status check_no_keyid_twice(const std::vector<FileSignature>& signatures) {
  std::set<std::string_view> seen;
  for (const FileSignature& signature : signatures)
    if (!seen.insert(signature.keyid).second)
      return Error(Code::bad_signature, "two signatures name the same key " + signature.keyid);
  return {};
}

bool is_known_spec(std::string_view version) {
  // "1.0" of older repositories as well as "1.0.34".
  return version == "1" || version.starts_with("1.");
}

MetaFile read_meta_file(json::Reader& in) {
  MetaFile file;
  file.version = in.integer("version", 1, INT64_MAX);
  if (in.has("length")) file.length = static_cast<std::uint64_t>(in.integer("length", 0, INT64_MAX));
  file.hashes = read_hashes(in);
  return file;
}

Status read_meta(const json::Value& signed_part, std::map<std::string, MetaFile, std::less<>>& meta) {
  return each_member(signed_part, "meta", kMaxListedRoles,
                     [&](const std::string& name, const json::Value& value) -> Status {
                       json::Reader in = open_reader(value, "/signed/meta/" + name);
                       meta[name] = read_meta_file(in);
                       return in.finish();
                     });
}

}  // namespace

bool is_top_level(std::string_view role) {
  return role == kRoot || role == kTimestamp || role == kSnapshot || role == kTargets;
}

Hashes read_hashes(json::Reader& in) {
  const bool present = in.has("hashes");
  Hashes hashes;
  for (auto& [algorithm, hex] : in.text_map_or_none("hashes", kMaxHashes, 32, 128)) hashes[algorithm] = std::move(hex);
  if (present && hashes.empty()) in.fail("hashes", "is empty");
  return hashes;
}

Status each_member(const json::Value& object, std::string_view name, std::size_t max,
                   const std::function<Status(const std::string&, const json::Value&)>& read) {
  const auto found = object.find(name);
  const std::string place = "/signed/" + std::string(name);
  if (found == object.end()) return Error(Code::malformed, place + ": is missing");
  if (!found->is_object()) return Error(Code::malformed, place + ": must be an object");
  if (found->size() > max) return Error(Code::too_large, place + ": has more than " + std::to_string(max) + " entries");
  for (const auto& [key, value] : found->get_ref<const json::Value::object_t&>()) {
    if (key.empty() || key.size() > kMaxTextLength)
      return Error(Code::malformed, place + ": a name is empty or too long");
    TRY(read(key, value));
  }
  return {};
}

RoleKeys read_role_keys(json::Reader& in) {
  RoleKeys role;
  if (!in.has("keyids")) in.fail("keyids", "is missing");
  role.keyids = in.texts_or_none("keyids", kMaxRoleKeys, kMaxTextLength);
  role.threshold = static_cast<int>(in.integer("threshold", 1, INT32_MAX));
  const std::set<std::string_view> different(role.keyids.begin(), role.keyids.end());
  if (different.size() != role.keyids.size()) in.fail("keyids", "names a key twice");
  return role;
}

Status read_keys(const json::Value& object, Keys& keys) {
  return each_member(object, "keys", kMaxKeys, [&](const std::string& id, const json::Value& value) -> Status {
    TRY_ASSIGN(Key key, parse_key(id, value));
    keys.emplace(id, std::move(key));
    return {};
  });
}

Result<std::string> key_id(const nlohmann::json& key_object) {
  TRY_ASSIGN(std::string canonical, canonical_json(key_object));
  return crypto::sha256(canonical).hex();
}

Result<Key> parse_key(std::string_view id, const nlohmann::json& object) {
  Key key{.id = std::string(id), .keytype = {}, .scheme = {}, .public_text = {}, .object = object};
  json::Reader in = open_reader(object, "/keys/" + key.id.substr(0, 16));
  key.keytype = in.text("keytype", kMaxTextLength);
  key.scheme = in.text("scheme", kMaxTextLength);
  in.object("keyval", [&](json::Reader& value) { key.public_text = value.text("public", kMaxKeyTextLength); });
  TRY(in.finish());
  TRY_ASSIGN(const std::string computed, key_id(object));
  if (computed != id) return Error(Code::unknown_key, "the key listed as " + key.id + " has the id " + computed);
  return key;
}

Result<Envelope> parse_envelope(ByteView bytes, std::uint64_t limit) {
  TRY_ASSIGN(json::Value document, json::parse(as_text(bytes), limit));
  json::Reader in = open_reader(document, "");
  Envelope envelope;
  in.array("signatures", kMaxSignatures,
           [&](json::Reader& item) { envelope.signatures.push_back(read_signature(item)); });
  in.object("signed", [&](json::Reader& part) { envelope.type = part.text("_type", kMaxTextLength); });
  TRY(in.finish());
  TRY(check_no_keyid_twice(envelope.signatures));
  envelope.signed_part = std::move(document["signed"]);
  TRY_ASSIGN(envelope.canonical, canonical_json(envelope.signed_part));
  return envelope;
}

Status read_common(const Envelope& envelope, std::string_view type, Common& common) {
  if (envelope.type != type)
    return Error(Code::metadata_mismatch,
                 "the file is of type \"" + envelope.type + "\" where \"" + std::string(type) + "\" is expected");
  json::Reader in = open_reader(envelope.signed_part, "/signed");
  common.spec_version = in.text("spec_version", kMaxTextLength);
  common.version = in.integer("version", 1, INT64_MAX);
  const std::string expires = in.text("expires", kMaxTimeText);
  TRY(in.finish());
  if (!is_known_spec(common.spec_version))
    return Error(Code::unsupported, "metadata of specification " + common.spec_version + " where 1.x is understood");
  TRY_ASSIGN(common.expires, parse_time(expires).within("/signed/expires"));
  return {};
}

Result<Root> parse_root(const Envelope& envelope) {
  Root root;
  TRY(read_common(envelope, kRoot, root));
  json::Reader in = open_reader(envelope.signed_part, "/signed");
  root.consistent_snapshot = in.boolean_or("consistent_snapshot", false);
  TRY(in.finish());
  TRY(read_keys(envelope.signed_part, root.keys));
  const auto read_role = [&](const std::string& name, const json::Value& value) -> Status {
    json::Reader role = open_reader(value, "/signed/roles/" + name);
    root.roles[name] = read_role_keys(role);
    return role.finish();
  };
  TRY(each_member(envelope.signed_part, "roles", kMaxRoleKeys, read_role));
  for (const std::string_view role : {kRoot, kTimestamp, kSnapshot, kTargets})
    if (!root.roles.contains(role))
      return Error(Code::malformed, "/signed/roles/" + std::string(role) + ": is missing");
  return root;
}

Result<Timestamp> parse_timestamp(const Envelope& envelope) {
  Timestamp timestamp;
  TRY(read_common(envelope, kTimestamp, timestamp));
  json::Reader in = open_reader(envelope.signed_part, "/signed");
  const std::string issued = in.text_or("x-issued", "", kMaxTimeText);
  TRY(in.finish());
  if (!issued.empty()) {
    TRY_ASSIGN(timestamp.issued, parse_time(issued).within("/signed/x-issued"));
  }
  std::map<std::string, MetaFile, std::less<>> meta;
  TRY(read_meta(envelope.signed_part, meta));
  const auto snapshot = meta.find("snapshot.json");
  if (snapshot == meta.end()) return Error(Code::malformed, "/signed/meta/snapshot.json: is missing");
  timestamp.snapshot = std::move(snapshot->second);
  return timestamp;
}

Result<Snapshot> parse_snapshot(const Envelope& envelope) {
  Snapshot snapshot;
  TRY(read_common(envelope, kSnapshot, snapshot));
  TRY(read_meta(envelope.signed_part, snapshot.meta));
  return snapshot;
}

}  // namespace drover::tuf
