// SHA-256 and SHA-512, and the text form of a digest ("sha256:<64 hex digits>") by which everything here is named.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::crypto {

inline constexpr std::size_t kSha256Size = 32;
inline constexpr std::size_t kSha512Size = 64;

// A SHA-256 value. The only digest that names blobs, packages and releases.
class Digest {
 public:
  using Raw = std::array<std::uint8_t, kSha256Size>;

  Digest() = default;  // all zero: the digest of nothing
  explicit Digest(const Raw& raw) : raw_(raw) {}

  // "sha256:" and 64 lower-case hexadecimal digits, nothing else; malformed otherwise.
  static Result<Digest> parse(std::string_view text);
  // The 64 digits alone.
  static Result<Digest> parse_hex(std::string_view hex);

  std::string text() const;
  std::string hex() const;
  const Raw& raw() const { return raw_; }

  auto operator<=>(const Digest&) const = default;

 private:
  Raw raw_{};
};

// Incremental SHA-256: any number of update(), then one finish(). Movable; not thread-safe; O(1) memory.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteView bytes);
  // The digest of all bytes so far; the object then stands at its beginning again.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(ByteView bytes);
inline Digest sha256(std::string_view text) { return sha256(as_bytes(text)); }
std::array<std::uint8_t, kSha512Size> sha512(ByteView bytes);

struct HashedFile {
  Digest digest;
  std::uint64_t size = 0;
};

// Hashes a regular file in O(1) memory; a symbolic link or anything but a regular file is refused (unsafe_path).
// Errors: not_found, io, unsafe_path.
Result<HashedFile> sha256_file(const std::filesystem::path& path);

}  // namespace drover::crypto

template <>
struct std::hash<drover::crypto::Digest> {
  std::size_t operator()(const drover::crypto::Digest& digest) const noexcept;
};
