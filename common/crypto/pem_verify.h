// Verification (never signing) with keys that live in HSMs and KMS: PEM SubjectPublicKeyInfo, through OpenSSL.
// A library of its own (drover_crypto_pem), so that who needs Ed25519 only does not carry it.
#pragma once

#include <string_view>

#include "common/base/bytes.h"

namespace drover::crypto {

// P-256, SHA-256, signature in DER (strict). False for anything that is not right, a bad key too.
bool verify_ecdsa_p256(std::string_view public_pem, ByteView message, ByteView der_signature);
// RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes; moduli of 2048 to 8192 bits.
bool verify_rsa_pss_sha256(std::string_view public_pem, ByteView message, ByteView signature);

// The TUF scheme that a public key in PEM is for; empty for a key of another kind or size, and for what is no key.
std::string_view pem_scheme(std::string_view public_pem);

// By TUF scheme name ("ecdsa-sha2-nistp256", "rsassa-pss-sha256"); false for any other. Fits tuf::ForeignVerify.
bool verify_pem(std::string_view scheme, std::string_view public_pem, ByteView message, ByteView signature);

}  // namespace drover::crypto
