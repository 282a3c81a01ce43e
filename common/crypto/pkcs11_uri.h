// pkcs11: URIs (RFC 7512), the names of keys in tokens:
//   pkcs11:token=releases;object=alice?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin
// Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::crypto {

inline constexpr std::size_t kMaxPkcs11Uri = 2048;  // a long one has about 300 characters

struct Pkcs11Uri {
  // The path: an attribute that is absent matches everything.
  std::optional<std::string> token, manufacturer, model, serial, object;
  std::optional<Bytes> id;
  std::optional<unsigned long> slot;
  bool public_only = false;  // type=public: somebody else signs with it
  // The query.
  std::string module_path;  // empty: p11-kit's proxy, and with it every module that the system has registered
  std::string pin_source;   // a path, or file:/path
  std::string pin_value;    // secret
};

// Does the text begin with "pkcs11:"?
bool is_pkcs11_uri(std::string_view text);
// invalid_argument, saying which part: another scheme, bad percent-encoding, an attribute that stands twice or that is
// not known here (to pass over it could mean to take another key), type other than private or public.
Result<Pkcs11Uri> parse_pkcs11_uri(std::string_view text);
// The shortest URI of the same meaning. Never with the PIN, so that it can be shown and stored.
std::string to_text(const Pkcs11Uri& uri);

}  // namespace drover::crypto
