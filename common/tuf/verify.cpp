#include "common/tuf/verify.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "common/crypto/ed25519.h"
#include "common/crypto/hash.h"

namespace drover::tuf {
namespace {

// Two key objects with the same public key are one key, however their other fields differ.
std::string key_content(const Key& key) {
  std::string content;
  for (const char c : key.public_text)
    if (std::isspace(static_cast<unsigned char>(c)) == 0)
      content += key.keytype == "ed25519" ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : c;
  return content;
}

Status verify_hashes(const std::map<std::string, std::string, std::less<>>& hashes, ByteView bytes) {
  for (const auto& [algorithm, listed] : hashes) {
    std::string computed;
    if (algorithm == "sha256")
      computed = crypto::sha256(bytes).hex();
    else if (algorithm == "sha512")
      computed = to_hex(crypto::sha512(bytes));
    else
      return Error(Code::unsupported, "the hash algorithm \"" + algorithm + "\" is not known here");
    if (computed != listed) return Error(Code::digest_mismatch, "the " + algorithm + " differs from what is listed");
  }
  return {};
}

Status verify_length(std::uint64_t listed, ByteView bytes) {
  if (listed == bytes.size()) return {};
  return Error(Code::size_mismatch,
               std::to_string(bytes.size()) + " bytes where " + std::to_string(listed) + " are listed");
}

}  // namespace

bool verify_signature(const Key& key, ByteView message, ByteView signature, ForeignVerify foreign) {
  if (signature.empty()) return false;
  if (key.keytype == "ed25519" && key.scheme == "ed25519") {
    const auto raw = crypto::parse_public_key(key.public_text);
    return raw && crypto::verify(*raw, message, signature);
  }
  const bool ecdsa =
      (key.keytype == "ecdsa" || key.keytype == "ecdsa-sha2-nistp256") && key.scheme == "ecdsa-sha2-nistp256";
  const bool rsa = key.keytype == "rsa" && key.scheme == "rsassa-pss-sha256";
  return (ecdsa || rsa) && foreign != nullptr && foreign(key.scheme, key.public_text, message, signature);
}

std::vector<std::string> valid_signers(const Keys& keys, const RoleKeys& role, const Envelope& envelope,
                                       ForeignVerify foreign) {
  std::vector<std::string> signers;
  std::set<std::string> contents;
  std::set<std::string_view> keyids;
  for (const FileSignature& signature : envelope.signatures) {
    const auto key = keys.find(signature.keyid);
    const bool of_role = std::find(role.keyids.begin(), role.keyids.end(), signature.keyid) != role.keyids.end();
    if (!of_role || key == keys.end() || !keyids.insert(signature.keyid).second) continue;
    if (!verify_signature(key->second, as_bytes(envelope.canonical), signature.signature, foreign)) continue;
    if (contents.insert(key_content(key->second)).second) signers.push_back(signature.keyid);
  }
  return signers;
}

Status verify_threshold(const Keys& keys, const RoleKeys& role, const Envelope& envelope, ForeignVerify foreign) {
  if (role.threshold < 1) return Error(Code::invalid_argument, "a signature threshold below 1");
  const auto signers = valid_signers(keys, role, envelope, foreign).size();
  if (signers >= static_cast<std::size_t>(role.threshold)) return {};
  return Error(Code::threshold_not_met, "validly signed by " + std::to_string(signers) + " of the role's keys, and " +
                                            std::to_string(role.threshold) + " are needed");
}

Status verify_listed(const MetaFile& listed, ByteView bytes) {
  if (listed.length) TRY(verify_length(*listed.length, bytes));
  return verify_hashes(listed.hashes, bytes);
}

Status verify_target_bytes(const Target& target, ByteView bytes) {
  if (target.hashes.empty()) return Error(Code::unsupported, "the target lists no hash");
  TRY(verify_length(target.length, bytes));
  return verify_hashes(target.hashes, bytes);
}

std::string encode_role_name(std::string_view role) {
  std::string encoded;
  for (const char c : role) {
    const auto byte = static_cast<std::uint8_t>(c);
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos;
    if (plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += "0123456789ABCDEF"[byte >> 4];
      encoded += "0123456789ABCDEF"[byte & 15];
    }
  }
  return encoded;
}

}  // namespace drover::tuf
