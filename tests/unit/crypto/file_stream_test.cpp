#include "common/crypto/file_stream.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>

#include "common/crypto/hash.h"
#include "tests/support/expect.h"

namespace drover::crypto {
namespace {

constexpr std::size_t kSealedChunk = kStreamChunk + kChunkOverhead;

ContentKey key_of(std::uint8_t byte) { return *ContentKey::from_bytes(Bytes(kContentKeySize, byte)); }

Bytes noise(std::size_t size, std::uint64_t seed = 1) {
  Bytes bytes(size);
  SeededRng(seed).fill(bytes);
  return bytes;
}

PlainFile describe(const ContentKey& key, ByteView plain) {
  PlainHash hash(key);
  hash.update(plain);
  return hash.finish();
}

StreamOut into(Bytes& out) {
  return [&out](ByteView part) {
    out.insert(out.end(), part.begin(), part.end());
    return Status();
  };
}

Bytes encrypt(const ContentKey& key, ByteView plain, std::size_t piece = 1000) {
  Bytes out;
  StreamEncryptor encryptor(key, describe(key, plain), into(out));
  for (std::size_t at = 0; at < plain.size(); at += piece)
    EXPECT_OK(encryptor.write(plain.subspan(at, std::min(piece, plain.size() - at))));
  EXPECT_OK(encryptor.finish());
  return out;
}

Result<Bytes> decrypt(const ContentKey& key, const PlainFile& plain, ByteView sealed, std::size_t piece = 4096) {
  Bytes out;
  StreamDecryptor decryptor(key, plain, into(out));
  for (std::size_t at = 0; at < sealed.size(); at += piece)
    TRY(decryptor.write(sealed.subspan(at, std::min(piece, sealed.size() - at))));
  TRY(decryptor.finish());
  return out;
}

class Sizes : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(AroundAChunk, Sizes,
                         ::testing::Values(0, 1, 100, kStreamChunk - 1, kStreamChunk, kStreamChunk + 1,
                                           2 * kStreamChunk, 5 * kStreamChunk + 17));

TEST_P(Sizes, ComeBackAsTheyWentInWhateverThePieces) {
  const ContentKey key = key_of(1);
  const Bytes plain = noise(GetParam());
  const Bytes sealed = encrypt(key, plain, 777);
  EXPECT_EQ(sealed.size(), encrypted_size(plain.size()));
  EXPECT_EQ(sealed, encrypt(key, plain, 1 << 20));
  for (const std::size_t piece : {std::size_t{1 << 20}, kSealedChunk, std::size_t{31}}) {
    const auto opened = decrypt(key, describe(key, plain), sealed, piece);
    ASSERT_OK(opened);
    EXPECT_EQ(*opened, plain);
  }
}

TEST_P(Sizes, AreCutNowhereWithoutBeingNoticed) {
  const ContentKey key = key_of(1);
  const Bytes plain = noise(GetParam());
  const Bytes sealed = encrypt(key, plain);
  std::vector<std::size_t> cuts = {0, 1, kStreamHeader - 1, kStreamHeader, sealed.size() - 1, sealed.size() - 17};
  for (std::size_t at = kStreamHeader + kSealedChunk; at < sealed.size(); at += kSealedChunk) cuts.push_back(at);
  for (const std::size_t cut : cuts)
    EXPECT_CODE(decrypt(key, describe(key, plain), ByteView(sealed).first(cut)), Code::digest_mismatch) << cut;
}

class Stream : public ::testing::Test {
 protected:
  const ContentKey key_ = key_of(1);
  const Bytes plain_ = noise(3 * kStreamChunk + 500);
  const PlainFile announced_ = describe(key_, plain_);
  Bytes sealed_ = encrypt(key_, plain_);

  Bytes::iterator chunk(std::size_t n) {
    return sealed_.begin() + static_cast<std::ptrdiff_t>(kStreamHeader + n * kSealedChunk);
  }
};

// A file that was encrypted by a released version, by its digest: it must stay readable, and be made again bit for bit.
TEST_F(Stream, IsTheOneOfTheFormat) {
  EXPECT_EQ(to_hex(ByteView(sealed_).first(8)), "4452564501000000");
  EXPECT_EQ(sha256(encrypt(key_of(2), as_bytes("a model"))).hex(),
            "651b561de20fc428b118844d4899f08ef7f4249155c6c002458bc1d53c6a6b0a");
}

// The stream of libsodium itself, begun with a header of ours.
TEST_F(Stream, IsReadByPlainLibsodium) {
  const SecretBytes stream_key = key_.derive(ContentKey::Use::stream);
  crypto_secretstream_xchacha20poly1305_state state;
  ASSERT_EQ(crypto_secretstream_xchacha20poly1305_init_pull(&state, sealed_.data() + 8, stream_key.bytes().data()), 0);
  Bytes opened;
  for (std::size_t n = 0; n < 4; ++n) {
    const std::size_t size = n < 3 ? kSealedChunk : 500 + kChunkOverhead;
    Bytes plain(size - kChunkOverhead);
    unsigned char tag = 0;
    ASSERT_EQ(crypto_secretstream_xchacha20poly1305_pull(&state, plain.data(), nullptr, &tag, &*chunk(n), size,
                                                         n == 0 ? sealed_.data() : nullptr, n == 0 ? 8 : 0),
              0);
    EXPECT_EQ(tag, n < 3 ? crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
                         : crypto_secretstream_xchacha20poly1305_TAG_FINAL);
    opened.insert(opened.end(), plain.begin(), plain.end());
  }
  EXPECT_EQ(opened, plain_);
}

// What StreamEncryptor relies on: with the header that init_push() rolled, a state set up by init_pull() pushes alike.
TEST(Libsodium, SetsUpBothDirectionsAlike) {
  ASSERT_GE(sodium_init(), 0);
  unsigned char key[crypto_secretstream_xchacha20poly1305_KEYBYTES] = {5};
  unsigned char header[crypto_secretstream_xchacha20poly1305_HEADERBYTES];
  crypto_secretstream_xchacha20poly1305_state pushing, pulling;
  crypto_secretstream_xchacha20poly1305_init_push(&pushing, header, key);
  crypto_secretstream_xchacha20poly1305_init_pull(&pulling, header, key);
  const Bytes message = noise(100);
  for (int i = 0; i < 3; ++i) {
    Bytes a(117), b(117);
    crypto_secretstream_xchacha20poly1305_push(&pushing, a.data(), nullptr, message.data(), 100, nullptr, 0, 0);
    crypto_secretstream_xchacha20poly1305_push(&pulling, b.data(), nullptr, message.data(), 100, nullptr, 0, 0);
    EXPECT_EQ(a, b);
  }
}

TEST_F(Stream, OfAnotherContentSharesNothing) {
  Bytes other = plain_;
  other.back() ^= 1;
  const Bytes sealed = encrypt(key_, other);
  EXPECT_FALSE(std::equal(chunk(0), chunk(0) + 64, sealed.begin() + kStreamHeader)) << "the same nonce for two contents";
}

TEST_F(Stream, IsNotReadWithAnotherKey) {
  EXPECT_CODE(decrypt(key_of(2), announced_, sealed_), Code::digest_mismatch);
}

TEST_F(Stream, FindsAChangedBitAnywhere) {
  for (std::size_t at = 0; at < sealed_.size(); at += at < kStreamHeader ? 1 : 4099) {
    Bytes changed = sealed_;
    changed[at] ^= 0x10;
    const auto opened = decrypt(key_, announced_, changed);
    ASSERT_FALSE(opened) << at;
    const bool version = at >= 4 && at < 8;
    EXPECT_EQ(opened.error().code(), version ? Code::unsupported : Code::digest_mismatch) << at;
  }
}

TEST_F(Stream, FindsChunksThatChangedPlaces) {
  std::swap_ranges(chunk(0), chunk(1), chunk(1));
  const auto opened = decrypt(key_, announced_, sealed_);
  ASSERT_CODE(opened, Code::digest_mismatch);
  EXPECT_NE(opened.error().message().find("chunk 1 is damaged, out of place"), std::string::npos);
}

TEST_F(Stream, FindsAChunkThatWasLeftOutOrDoubled) {
  Bytes without = sealed_;
  without.erase(without.begin() + kStreamHeader + kSealedChunk, without.begin() + kStreamHeader + 2 * kSealedChunk);
  EXPECT_CODE(decrypt(key_, announced_, without), Code::digest_mismatch);
  Bytes doubled = sealed_;
  doubled.insert(doubled.begin() + kStreamHeader + kSealedChunk, chunk(0), chunk(1));
  EXPECT_CODE(decrypt(key_, announced_, doubled), Code::digest_mismatch);
}

TEST_F(Stream, EndsWithItsLastChunk) {
  Bytes longer = sealed_;
  longer.push_back(0);
  EXPECT_CODE(decrypt(key_, announced_, longer), Code::digest_mismatch);
  const Bytes whole = encrypt(key_, ByteView(plain_).first(kStreamChunk));
  Bytes two = whole;
  two.insert(two.end(), whole.begin() + kStreamHeader, whole.end());
  const PlainFile announced = describe(key_, ByteView(plain_).first(kStreamChunk));
  const auto opened = decrypt(key_, announced, two);
  ASSERT_CODE(opened, Code::digest_mismatch);
  EXPECT_NE(opened.error().message().find("bytes follow"), std::string::npos);
}

// A stream that is whole, under the right key, but of another file than the signed manifest names.
TEST_F(Stream, OfAnotherFileUnderTheSameKeyIsRefused) {
  EXPECT_CODE(decrypt(key_, describe(key_, noise(10, 2)), sealed_), Code::digest_mismatch);
}

TEST_F(Stream, GivesNothingOutThatWasNotAuthenticated) {
  *chunk(1) ^= 1;
  Bytes given;
  StreamDecryptor decryptor(key_, announced_, into(given));
  EXPECT_CODE(decryptor.write(sealed_), Code::digest_mismatch);
  EXPECT_EQ(given, Bytes(plain_.begin(), plain_.begin() + kStreamChunk));
}

TEST_F(Stream, TellsWhenOtherBytesAreEncryptedThanWereAnnounced) {
  Bytes out;
  StreamEncryptor encryptor(key_, announced_, into(out));
  EXPECT_OK(encryptor.write(noise(plain_.size(), 9)));
  EXPECT_CODE(encryptor.finish(), Code::digest_mismatch);
}

TEST_F(Stream, PassesOnWhatItsSinkSays) {
  const StreamOut full = [](ByteView) -> Status { return Error(Code::disk_full, "full"); };
  StreamEncryptor encryptor(key_, announced_, full);
  EXPECT_CODE(encryptor.write(plain_), Code::disk_full);
  StreamDecryptor decryptor(key_, announced_, full);
  EXPECT_CODE(decryptor.write(sealed_), Code::disk_full);
}

}  // namespace
}  // namespace drover::crypto
