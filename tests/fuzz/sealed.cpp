// Confidential files and their keys as they come from outside: streams fed in uneven pieces, sealed boxes.
#include <algorithm>

#include "common/crypto/box_key.h"
#include "common/crypto/file_stream.h"
#include "tests/fuzz/fuzz.h"

namespace drover::fuzz {
namespace {

const crypto::ContentKey& content_key() {
  static const crypto::ContentKey key = *crypto::ContentKey::from_bytes(Bytes(crypto::kContentKeySize, 7));
  return key;
}

const crypto::BoxKey& box_key() {
  static const crypto::BoxKey key = [] {
    SeededRng rng(1);
    return crypto::BoxKey::generate(rng);
  }();
  return key;
}

const crypto::Digest kPackage = crypto::sha256(std::string_view("package"));
constexpr std::string_view kPlain = "a file that nobody else is to read";

crypto::PlainFile plain_of(ByteView bytes) {
  crypto::PlainHash hash(content_key());
  hash.update(bytes);
  return hash.finish();
}

Result<Bytes> encrypted(ByteView bytes) {
  Bytes out;
  crypto::StreamEncryptor encryptor(content_key(), plain_of(bytes), [&](ByteView more) {
    out.insert(out.end(), more.begin(), more.end());
    return Status();
  });
  TRY(encryptor.write(bytes));
  TRY(encryptor.finish());
  return out;
}

// Fed in pieces of growing size.
Result<Bytes> decrypted(ByteView stream, const crypto::PlainFile& plain) {
  Bytes out;
  crypto::StreamDecryptor decryptor(content_key(), plain, [&](ByteView more) {
    out.insert(out.end(), more.begin(), more.end());
    return Status();
  });
  for (std::size_t piece = 1; !stream.empty(); piece = piece * 3 + 1) {
    const std::size_t now = std::min(piece, stream.size());
    TRY(decryptor.write(stream.first(now)));
    stream = stream.subspan(now);
  }
  TRY(decryptor.finish());
  return out;
}

}  // namespace

void run(ByteView input) {
  const auto there = encrypted(input);
  require(there && there->size() == crypto::encrypted_size(input.size()), "a file is encrypted to its size");
  const auto back = decrypted(*there, plain_of(input));
  require(back && std::equal(back->begin(), back->end(), input.begin(), input.end()), "and comes back");
  const auto opened = decrypted(input, plain_of(as_bytes(kPlain)));
  require(!opened || as_text(*opened) == kPlain, "nothing but what was announced comes out");
  (void)box_key().open(input);
  (void)crypto::open_content_key(input, kPackage, box_key());
  (void)crypto::parse_box_public_key(as_text(input));
  (void)crypto::ContentKey::from_bytes(input);
}

std::vector<std::string> seeds() {
  return {text_of(*encrypted(as_bytes(kPlain))), text_of(crypto::seal(box_key().public_key(), as_bytes(kPlain))),
          text_of(crypto::seal_content_key(content_key(), kPackage, box_key().public_key())),
          to_hex(box_key().public_key()), std::string(crypto::kStreamChunk + 1, 'a')};
}

}  // namespace drover::fuzz
