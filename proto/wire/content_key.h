// How the key of a confidential package gets from people to a device, by way of a server that keeps it sealed. Version 1.
// Keys cross the wire in sealed boxes only (common/crypto/box_key.h), as hexadecimal text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::wire {

inline constexpr std::size_t kMaxContentKeyBody = 4096;  // two keys and a signature

// From people: the key, sealed to the server's wrapping key, which is named so that a rotated one is noticed.
struct HandedContentKey {
  std::string wrapping_key;  // 64 hexadecimal digits
  std::string sealed;
};

// From a device. Its session is not enough: the identity key signs for the key that decrypts, so that nobody else has the
// content key sealed to himself.
struct ContentKeyRequest {
  std::string package;    // "sha256:<manifest>"
  std::string box_key;    // 64 hexadecimal digits, X25519, the device's own
  std::string signature;  // by the identity key, over content_key_message()
};
struct ContentKeyAnswer {
  std::string sealed;  // to box_key
};

// What the device signs.
std::string content_key_message(std::string_view package, std::string_view box_key);

nlohmann::json encode(const HandedContentKey& key);
nlohmann::json encode(const ContentKeyRequest& request);
nlohmann::json encode(const ContentKeyAnswer& answer);
Result<HandedContentKey> decode_handed_content_key(std::string_view body);
Result<ContentKeyRequest> decode_content_key_request(std::string_view body);
Result<ContentKeyAnswer> decode_content_key_answer(std::string_view body);

}  // namespace drover::wire
