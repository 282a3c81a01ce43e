// Checking signatures, lengths and hashes. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/tuf/metadata.h"

namespace drover::tuf {

// How keys that are not Ed25519 are checked (scheme, public text, message, signature). crypto::verify_pem fits;
// null takes Ed25519 only, and every other key then counts for nothing.
using ForeignVerify = bool (*)(std::string_view scheme, std::string_view public_text, ByteView message,
                               ByteView signature);

bool verify_signature(const Key& key, ByteView message, ByteView signature, ForeignVerify foreign = nullptr);

// The key ids of `role` that validly signed, each key (by its content) at most once. Invalid, empty and unknown ones
// are passed over.
std::vector<std::string> valid_signers(const Keys& keys, const RoleKeys& role, const Envelope& envelope,
                                       ForeignVerify foreign = nullptr);

// threshold_not_met when fewer than the threshold signed; invalid_argument for a threshold below 1.
Status verify_threshold(const Keys& keys, const RoleKeys& role, const Envelope& envelope,
                        ForeignVerify foreign = nullptr);

// Length (where listed) and every listed hash. size_mismatch, digest_mismatch; unsupported when there are hashes and
// none is of a known algorithm (sha256, sha512), or one is not known.
Status verify_listed(const MetaFile& listed, ByteView bytes);
Status verify_target_bytes(const Target& target, ByteView bytes);

// "ab/c" -> "ab%2Fc": everything but A-Za-z0-9_.-~ is escaped, so that a role name is one file name.
std::string encode_role_name(std::string_view role);

}  // namespace drover::tuf
