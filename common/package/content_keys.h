// The content keys of one release, as `release build --encrypt` hands them to people. Text in, text out; whoever has it
// can read the models.
//   {"version":1,"model":"digits","release":"1.2.0","keys":[{"kind":"kiosk-x64","package":"sha256:..","key":hex}]}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/content_key.h"
#include "common/crypto/hash.h"

namespace drover::package {

inline constexpr std::size_t kMaxContentKeys = 128 * 1024;  // 256 variants

struct PackageKey {
  std::string kind;
  crypto::Digest package;  // the variant's manifest
  crypto::ContentKey key;
};

struct ReleaseKeys {
  std::string model, version;
  std::vector<PackageKey> keys;

  // null: none for this package.
  const crypto::ContentKey* key(const crypto::Digest& package) const;
};

// The caller wipes the text.
std::string print_content_keys(const ReleaseKeys& keys);
// malformed, unsupported, too_large.
Result<ReleaseKeys> parse_content_keys(std::string_view text);

}  // namespace drover::package
