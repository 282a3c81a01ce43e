// TUF 1.0.34 metadata: the structs and their strict parsing. Pure.
// Unknown fields are kept in what is verified (signatures are checked over `signed` as received) and otherwise ignored.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/time/clock.h"
#include "common/tuf/limits.h"

namespace drover::tuf {

inline constexpr std::string_view kRoot = "root";
inline constexpr std::string_view kTimestamp = "timestamp";
inline constexpr std::string_view kSnapshot = "snapshot";
inline constexpr std::string_view kTargets = "targets";
inline constexpr std::string_view kDirector = "director";
inline constexpr std::string_view kAssignmentType = "assignment";
inline constexpr std::string_view kSpecVersion = "1.0.34";

struct Key {
  std::string id;  // SHA-256 of the canonical form of `object`, checked when parsed
  std::string keytype;
  std::string scheme;
  std::string public_text;  // 64 hex digits (ed25519) or PEM
  nlohmann::json object;    // as it stands in the file, unknown fields included
};
using Keys = std::map<std::string, Key, std::less<>>;

// Who may sign: any `threshold` different keys of `keyids`.
struct RoleKeys {
  std::vector<std::string> keyids;
  int threshold = 1;  // never below 1
};

struct FileSignature {
  std::string keyid;
  Bytes signature;  // empty or not hexadecimal in the file: empty here, and never valid
};

// A metadata file whose form was checked, and nothing else yet.
struct Envelope {
  std::string type;            // signed._type
  nlohmann::json signed_part;  // as received
  std::string canonical;       // what the signatures are made over
  std::vector<FileSignature> signatures;
};

struct Common {
  std::string spec_version;
  std::int64_t version = 0;  // >= 1
  WallTime expires{};
};

struct Root : Common {
  bool consistent_snapshot = true;
  Keys keys;
  std::map<std::string, RoleKeys, std::less<>> roles;  // root, timestamp, snapshot, targets: all four present
};

// What a parent lists of a metadata file.
struct MetaFile {
  std::int64_t version = 0;
  std::optional<std::uint64_t> length;
  std::map<std::string, std::string, std::less<>> hashes;  // algorithm to hex; may be empty
};

struct Timestamp : Common {
  MetaFile snapshot;
  std::optional<WallTime> issued;  // "x-issued": a device without a clock learns the time from it
};

struct Snapshot : Common {
  std::map<std::string, MetaFile, std::less<>> meta;  // "targets.json", "<model>.json", ...
};

struct Target {
  std::uint64_t length = 0;
  std::map<std::string, std::string, std::less<>> hashes;  // at least one
  nlohmann::json custom;                                   // null when absent

  // The sha256 among the hashes; malformed when there is none.
  Result<crypto::Digest> digest() const;
};

struct Delegation {
  std::string name;
  RoleKeys keys;
  std::vector<std::string> paths;               // glob patterns; empty when hash prefixes are given
  std::vector<std::string> path_hash_prefixes;  // of the hex SHA-256 of the path
  bool terminating = false;

  bool covers(std::string_view target_path) const;
};

// Succinct delegations (TAP 15): 2^bits roles with the same keys, "<prefix>-<number in hexadecimal>". A path belongs to
// the role whose number is the first bits of the path's SHA-256. All of them are terminating.
struct HashBins {
  RoleKeys keys;
  int bits = 0;  // 1 to kMaxBinBits
  std::string prefix;

  std::string bin_of(std::string_view target_path) const;
  bool has(std::string_view role) const;
};

struct Targets : Common {
  std::map<std::string, Target, std::less<>> targets;
  Keys delegation_keys;
  std::vector<Delegation> delegations;  // in the order of the file: the first match wins
  std::optional<HashBins> bins;         // in place of delegations

  const Delegation* delegation(std::string_view name) const;
  // Who signs a delegated role or a bin; null when it is neither.
  const RoleKeys* delegated_keys(std::string_view role) const;
};

// `*` and `?` never match '/'; no other character is special; case counts. Time is bounded by pattern times path.
bool matches_pattern(std::string_view pattern, std::string_view path);

// The form of an envelope: object, `signed` with _type, `signatures` with no key id twice. Refuses over `limit` bytes,
// duplicate fields, NUL, numbers with a fraction. Errors: too_large, malformed, unsupported, bad_signature (key id
// twice).
Result<Envelope> parse_envelope(ByteView bytes, std::uint64_t limit);

// The signed part as the type that the name says; another _type is metadata_mismatch, another spec_version than 1.x
// unsupported. parse_targets serves delegated roles too.
Result<Root> parse_root(const Envelope& envelope);
Result<Timestamp> parse_timestamp(const Envelope& envelope);
Result<Snapshot> parse_snapshot(const Envelope& envelope);
Result<Targets> parse_targets(const Envelope& envelope);

// `path` is the place in the document, for messages.
Result<Key> parse_key(std::string_view id, const nlohmann::json& object);
Result<std::string> key_id(const nlohmann::json& key_object);

// True for a role name that may stand for a model: [a-z0-9][a-z0-9._-]{0,63}, none of the fixed roles.
bool is_model_name(std::string_view name);
// [A-Za-z0-9][A-Za-z0-9._+-]{0,63}
bool is_release_version(std::string_view version);

struct ReleaseName {
  std::string model;
  std::string version;
  std::string path() const { return model + "/" + version; }
};
// "<model>/<version>"; malformed otherwise.
Result<ReleaseName> parse_release_name(std::string_view target_path);

}  // namespace drover::tuf
