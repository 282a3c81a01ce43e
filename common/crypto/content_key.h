// The key of a confidential package. Everything that is made with it uses a key of its own, derived from it, so that what
// is public (the id) says nothing of what is not. Form: docs/formats/encryption.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/rng/rng.h"

namespace drover::crypto {

inline constexpr std::size_t kContentKeySize = 32;

// What a file holds before it is encrypted, told only to who has the key: BLAKE2b-256 under a key derived from the
// content key. A plain digest would let anybody who guesses the content find his guess confirmed.
using PlainDigest = std::array<std::uint8_t, 32>;

// 32 secret bytes in memory that is locked where the system allows it, between guard pages, and wiped at its end.
class SecretBytes {
 public:
  SecretBytes();
  std::span<std::uint8_t, 32> bytes() { return std::span<std::uint8_t, 32>(memory_.get(), 32); }
  std::span<const std::uint8_t, 32> bytes() const { return std::span<const std::uint8_t, 32>(memory_.get(), 32); }

 private:
  struct Free {
    void operator()(std::uint8_t* memory) const;
  };
  std::unique_ptr<std::uint8_t, Free> memory_;
};

// Movable only.
class ContentKey {
 public:
  static ContentKey generate(Rng& rng);
  // malformed unless there are 32 bytes. The caller wipes its own copy.
  static Result<ContentKey> from_bytes(ByteView bytes);

  ByteView bytes() const { return secret_.bytes(); }
  // 64 hexadecimal digits by which a signed manifest names its key. No two keys have one id, and it reveals nothing.
  std::string id() const;

  // For the stream of a file. Each wiped when the object ends.
  enum class Use : std::uint8_t { stream = 1, digest = 2, id = 3, header = 4 };
  SecretBytes derive(Use use) const;

 private:
  ContentKey() = default;
  SecretBytes secret_;
};

// unknown_key, with both ids' beginnings, when `key` is not the one that `id` names.
Status check_content_key(const ContentKey& key, std::string_view id);

}  // namespace drover::crypto
