// A confidential file as a stream of encrypted chunks: libsodium's secretstream (XChaCha20-Poly1305), each chunk bound to
// its place, the last one marked. Memory: two chunks, whatever the file's size. Form: docs/formats/encryption.md.
//
// The stream of a file follows from the key and the file's content: whoever has both makes the same bytes again. So a
// device that has made a file from a delta stores it encrypted under the digest that was signed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/content_key.h"

namespace drover::crypto {

inline constexpr std::size_t kStreamChunk = 64 * 1024;  // plain bytes: what has to be held until it is known to be whole
inline constexpr std::size_t kStreamHeader = 32;
inline constexpr std::size_t kChunkOverhead = 17;  // tag and authenticator

constexpr std::uint64_t encrypted_size(std::uint64_t plain) {
  const std::uint64_t chunks = plain == 0 ? 1 : (plain - 1) / kStreamChunk + 1;
  return kStreamHeader + plain + chunks * kChunkOverhead;
}

// What a signed manifest says of a file before it was encrypted.
struct PlainFile {
  PlainDigest digest{};
  std::uint64_t size = 0;

  bool operator==(const PlainFile&) const = default;
};

using StreamOut = std::function<Status(ByteView)>;

// The keyed digest, in pieces.
class PlainHash {
 public:
  explicit PlainHash(const ContentKey& key);
  ~PlainHash();
  PlainHash(PlainHash&&) noexcept;
  void update(ByteView bytes);
  PlainFile finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class StreamEncryptor {
 public:
  // `plain`: of all that will be written.
  StreamEncryptor(const ContentKey& key, const PlainFile& plain, StreamOut out);
  ~StreamEncryptor();
  Status write(ByteView bytes);
  // digest_mismatch when something else was written than was announced.
  Status finish();

 private:
  Status chunk(ByteView bytes, bool last);
  struct State;
  std::unique_ptr<State> state_;
};

class StreamDecryptor {
 public:
  StreamDecryptor(const ContentKey& key, const PlainFile& plain, StreamOut out);
  ~StreamDecryptor();
  // What is given out has been authenticated up to there. digest_mismatch: another key, a bit that changed, a chunk out of
  // place, bytes behind the end. After an error nothing more may be written. unsupported: a newer form.
  Status write(ByteView bytes);
  // digest_mismatch: cut short, or not the content that was announced.
  Status finish();

 private:
  Status begin();
  Status chunk();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace drover::crypto
