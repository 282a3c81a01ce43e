#include "common/crypto/box_key.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/crypto/key_file.h"
#include "common/crypto/secret.h"
#include "common/crypto/sodium_impl.h"
#include "proto/json/reader.h"

namespace drover::crypto {
namespace {

constexpr std::string_view kKeyType = "x25519";
constexpr std::array<std::uint8_t, 8> kSealedMagic = {'D', 'R', 'V', 'K', 'E', 'Y', 0, 1};
constexpr std::size_t kMessageSize = kSealedMagic.size() + kSha256Size + kContentKeySize;

static_assert(kSealedKeySize == kMessageSize + crypto_box_SEALBYTES);

Error wrong_box() {
  return {Code::unknown_key, "the sealed key was sealed to another key than this one, or is damaged"};
}

Status take_secret(std::string& hex, SecretBytes& into) {
  auto raw = from_hex(hex);
  wipe(hex);
  if (!raw || raw->size() != into.bytes().size()) return Error(Code::malformed, "a private key of another length");
  std::copy(raw->begin(), raw->end(), into.bytes().begin());
  wipe(*raw);
  return {};
}

Status write_new(const std::filesystem::path& file, std::string_view text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return Error(errno == EEXIST ? Code::already_exists : Code::io, file.string() + ": " + std::strerror(errno));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (written) return {};
  ::unlink(file.c_str());
  return Error(Code::io, "cannot write " + file.string());
}

}  // namespace

BoxKey BoxKey::generate(Rng& rng) {
  need_sodium();
  BoxKey key;
  rng.fill(key.secret_.bytes());
  crypto_scalarmult_base(key.public_.data(), key.secret_.bytes().data());
  return key;
}

Status BoxKey::save(const std::filesystem::path& file) const {
  json::Value document = {{"version", 1}, {"keytype", kKeyType}, {"public", to_hex(public_)}};
  document["private"] = to_hex(secret_.bytes());
  std::string text = document.dump(2) + "\n";
  wipe(document["private"].get_ref<std::string&>());
  Status written = write_new(file, text);
  wipe(text);
  return written;
}

Result<BoxKey> BoxKey::load(const std::filesystem::path& file) {
  TRY_ASSIGN(std::string text, read_key_file(file));
  auto document = json::parse(text, kMaxKeyFile);
  wipe(text);
  if (!document) return std::move(document).error().within(file.string());
  json::Reader in(*document);
  const auto version = in.integer("version", 1, INT32_MAX);
  const std::string type = in.text("keytype", 32);
  const std::string public_hex = in.text("public", 64);
  std::string private_hex = in.text("private", 64);
  if (const auto kept = document->find("private"); kept != document->end() && kept->is_string())
    wipe(kept->get_ref<std::string&>());
  TRY(in.finish().within(file.string()));
  if (version != 1 || type != kKeyType)
    return Error(Code::unsupported, file.string() + " is no key of the type x25519, version 1");
  BoxKey key;
  TRY(take_secret(private_hex, key.secret_).within(file.string()));
  crypto_scalarmult_base(key.public_.data(), key.secret_.bytes().data());
  if (to_hex(key.public_) != public_hex)
    return Error(Code::malformed, file.string() + ": its public and private halves do not belong together");
  return key;
}

Result<Bytes> BoxKey::open(ByteView sealed) const {
  if (sealed.size() < crypto_box_SEALBYTES) return wrong_box();
  Bytes opened(sealed.size() - crypto_box_SEALBYTES);
  if (crypto_box_seal_open(opened.data(), sealed.data(), sealed.size(), public_.data(), secret_.bytes().data()) != 0)
    return wrong_box();
  return opened;
}

Bytes seal(const BoxPublicKey& to, ByteView secret) {
  need_sodium();
  Bytes sealed(secret.size() + crypto_box_SEALBYTES);
  crypto_box_seal(sealed.data(), secret.data(), secret.size(), to.data());
  return sealed;
}

Result<BoxPublicKey> parse_box_public_key(std::string_view hex) {
  TRY_ASSIGN(const Bytes raw, from_hex(hex));
  BoxPublicKey key{};
  if (raw.size() != key.size()) return Error(Code::malformed, "an X25519 key has 64 hexadecimal digits");
  std::copy(raw.begin(), raw.end(), key.begin());
  return key;
}

Bytes seal_content_key(const ContentKey& key, const Digest& package, const BoxPublicKey& to) {
  Bytes message;
  message.reserve(kMessageSize);  // at once: a copy that grows would stay behind unwiped
  message.insert(message.end(), kSealedMagic.begin(), kSealedMagic.end());
  message.insert(message.end(), package.raw().begin(), package.raw().end());
  message.insert(message.end(), key.bytes().begin(), key.bytes().end());
  Bytes sealed = seal(to, message);
  wipe(message);
  return sealed;
}

Result<ContentKey> open_content_key(ByteView sealed, const Digest& package, const BoxKey& key) {
  TRY_ASSIGN(Bytes message, key.open(sealed));
  const auto part = [&](std::size_t from, std::size_t size) { return ByteView(message).subspan(from, size); };
  if (message.size() != kMessageSize || !std::ranges::equal(part(0, kSealedMagic.size()), kSealedMagic)) {
    wipe(message);
    return Error(Code::unknown_key, "what was sealed is no content key of this version");
  }
  const bool same = std::ranges::equal(part(kSealedMagic.size(), kSha256Size), package.raw());
  auto content = ContentKey::from_bytes(part(kSealedMagic.size() + kSha256Size, kContentKeySize));
  wipe(message);
  if (!same) return Error(Code::unknown_key, "the sealed key is for another package than " + package.text());
  return content;
}

}  // namespace drover::crypto
