#include "common/crypto/file_stream.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "common/crypto/secret.h"
#include "common/crypto/sodium_impl.h"

namespace drover::crypto {
namespace {

using Prefix = std::array<std::uint8_t, 8>;
constexpr Prefix kPrefix = {'D', 'R', 'V', 'E', 1, 0, 0, 0};
constexpr std::size_t kNonce = crypto_secretstream_xchacha20poly1305_HEADERBYTES;
constexpr std::size_t kSealedChunk = kStreamChunk + kChunkOverhead;

static_assert(kStreamHeader == kPrefix.size() + kNonce);
static_assert(kChunkOverhead == crypto_secretstream_xchacha20poly1305_ABYTES);

using Nonce = std::array<std::uint8_t, kNonce>;

// From the content: equal content under one key gives equal bytes, and two contents never share a nonce.
Nonce nonce_of(const ContentKey& key, const PlainFile& plain) {
  const SecretBytes header_key = key.derive(ContentKey::Use::header);
  Nonce nonce{};
  crypto_generichash(nonce.data(), nonce.size(), plain.digest.data(), plain.digest.size(), header_key.bytes().data(),
                     header_key.bytes().size());
  return nonce;
}

// The state of both directions is the same structure, set up from key and header. init_push() would roll a header of its
// own, so that the given one goes in by init_pull(); a test holds its output beside init_push()'s.
void start(crypto_secretstream_xchacha20poly1305_state& state, const Nonce& nonce, const ContentKey& key) {
  const SecretBytes stream_key = key.derive(ContentKey::Use::stream);
  crypto_secretstream_xchacha20poly1305_init_pull(&state, nonce.data(), stream_key.bytes().data());
}

// The first chunk vouches for what stands before it.
ByteView vouched(bool first) { return first ? ByteView(kPrefix) : ByteView(); }

Error failed(const std::string& why) { return {Code::digest_mismatch, why}; }

}  // namespace

struct PlainHash::State {
  crypto_generichash_state hash{};
  std::uint64_t size = 0;
  ~State() { sodium_memzero(&hash, sizeof hash); }
};

PlainHash::PlainHash(const ContentKey& key) : state_(std::make_unique<State>()) {
  const SecretBytes digest_key = key.derive(ContentKey::Use::digest);
  crypto_generichash_init(&state_->hash, digest_key.bytes().data(), digest_key.bytes().size(), sizeof(PlainDigest));
}
PlainHash::~PlainHash() = default;
PlainHash::PlainHash(PlainHash&&) noexcept = default;

void PlainHash::update(ByteView bytes) {
  crypto_generichash_update(&state_->hash, bytes.data(), bytes.size());
  state_->size += bytes.size();
}

PlainFile PlainHash::finish() {
  PlainFile plain;
  plain.size = state_->size;
  crypto_generichash_final(&state_->hash, plain.digest.data(), plain.digest.size());
  return plain;
}

// --- encrypting ------------------------------------------------------------------------------------------------------

struct StreamEncryptor::State {
  State(const ContentKey& key, const PlainFile& announced, StreamOut sink)
      : plain(announced), hash(key), nonce(nonce_of(key, announced)), out(std::move(sink)) {
    start(stream, nonce, key);
    held.reserve(kStreamChunk);
  }
  ~State() {
    sodium_memzero(&stream, sizeof stream);
    wipe(held);
  }
  crypto_secretstream_xchacha20poly1305_state stream{};
  PlainFile plain;
  PlainHash hash;
  Nonce nonce;
  StreamOut out;
  Bytes held;  // a chunk is written when it is known whether it is the last
  Bytes sealed = Bytes(kSealedChunk);
  bool first = true;
};

StreamEncryptor::StreamEncryptor(const ContentKey& key, const PlainFile& plain, StreamOut out)
    : state_(std::make_unique<State>(key, plain, std::move(out))) {}
StreamEncryptor::~StreamEncryptor() = default;

Status StreamEncryptor::chunk(ByteView bytes, bool last) {
  State& s = *state_;
  const bool first = std::exchange(s.first, false);
  if (first) {
    TRY(s.out(kPrefix));
    TRY(s.out(s.nonce));
  }
  const unsigned char tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                                 : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
  unsigned long long size = 0;
  const ByteView beside = vouched(first);
  crypto_secretstream_xchacha20poly1305_push(&s.stream, s.sealed.data(), &size, bytes.data(), bytes.size(),
                                             beside.data(), beside.size(), tag);
  return s.out(ByteView(s.sealed).first(static_cast<std::size_t>(size)));
}

Status StreamEncryptor::write(ByteView bytes) {
  State& s = *state_;
  s.hash.update(bytes);
  while (!bytes.empty()) {
    if (s.held.size() == kStreamChunk) {
      TRY(chunk(s.held, false));
      s.held.clear();
    }
    const std::size_t room = std::min(kStreamChunk - s.held.size(), bytes.size());
    s.held.insert(s.held.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(room));
    bytes = bytes.subspan(room);
  }
  return {};
}

Status StreamEncryptor::finish() {
  TRY(chunk(state_->held, true));
  if (state_->hash.finish() == state_->plain) return {};
  return failed("the content that was encrypted is another one than was announced");
}

// --- decrypting ------------------------------------------------------------------------------------------------------

struct StreamDecryptor::State {
  State(const ContentKey& content_key, const PlainFile& announced, StreamOut sink)
      : plain(announced), hash(content_key), nonce(nonce_of(content_key, announced)), out(std::move(sink)) {
    start(stream, nonce, content_key);
    held.reserve(kSealedChunk);
  }
  ~State() {
    sodium_memzero(&stream, sizeof stream);
    wipe(opened);
  }
  crypto_secretstream_xchacha20poly1305_state stream{};
  PlainFile plain;
  PlainHash hash;
  Nonce nonce;
  StreamOut out;
  Bytes held;
  Bytes opened = Bytes(kStreamChunk);
  std::uint64_t done = 0;
  std::size_t chunks = 0;
  bool begun = false;
  bool ended = false;
};

StreamDecryptor::StreamDecryptor(const ContentKey& key, const PlainFile& plain, StreamOut out)
    : state_(std::make_unique<State>(key, plain, std::move(out))) {}
StreamDecryptor::~StreamDecryptor() = default;

Status StreamDecryptor::begin() {
  State& s = *state_;
  const ByteView header(s.held);
  if (!std::equal(header.begin(), header.begin() + 4, kPrefix.begin()))
    return failed("this is no encrypted file of this product");
  if (!std::equal(header.begin() + 4, header.begin() + 8, kPrefix.begin() + 4))
    return Error(Code::unsupported, "an encrypted file of version " + std::to_string(header[4]) + " where 1 is known");
  if (!std::ranges::equal(header.subspan(kPrefix.size()), s.nonce))
    return failed("the stream begins otherwise than key and content say: another key, or another file");
  s.begun = true;
  s.held.clear();
  return {};
}

Status StreamDecryptor::chunk() {
  State& s = *state_;
  const std::string where = "chunk " + std::to_string(s.chunks + 1);
  if (s.held.size() < kChunkOverhead) return failed(where + " is cut short");
  unsigned long long size = 0;
  unsigned char tag = 0;
  const ByteView beside = vouched(s.chunks == 0);
  if (crypto_secretstream_xchacha20poly1305_pull(&s.stream, s.opened.data(), &size, &tag, s.held.data(), s.held.size(),
                                                 beside.data(), beside.size()) != 0)
    return failed(where + " is damaged, out of place, or of another key");
  s.ended = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
  if (!s.ended && size != kStreamChunk) return failed(where + " is short, and is not the last");
  const ByteView plain = ByteView(s.opened).first(static_cast<std::size_t>(size));
  s.held.clear();
  ++s.chunks;
  s.done += size;
  s.hash.update(plain);
  return s.out(plain);
}

Status StreamDecryptor::write(ByteView bytes) {
  State& s = *state_;
  while (!bytes.empty()) {
    if (s.ended) return failed("bytes follow the last chunk");
    const std::size_t wanted = s.begun ? kSealedChunk : kStreamHeader;
    const std::size_t room = std::min(wanted - s.held.size(), bytes.size());
    s.held.insert(s.held.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(room));
    bytes = bytes.subspan(room);
    if (s.held.size() == wanted) TRY(s.begun ? chunk() : begin());
  }
  return {};
}

Status StreamDecryptor::finish() {
  State& s = *state_;
  if (!s.begun) return failed("the file ends within its header");
  if (!s.ended && !s.held.empty()) TRY(chunk());
  if (!s.ended) return failed("the file is cut short: its last chunk is missing");
  if (s.hash.finish() == s.plain) return {};
  return failed("the content is not what was signed");
}

}  // namespace drover::crypto
