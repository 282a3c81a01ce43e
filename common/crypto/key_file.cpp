#include "common/crypto/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "common/crypto/secret.h"
#include "common/crypto/sodium_impl.h"
#include "proto/json/reader.h"

namespace drover::crypto {
namespace {

constexpr std::string_view kKdf = "argon2id13";
constexpr std::size_t kBoxNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kBoxTag = crypto_aead_xchacha20poly1305_ietf_ABYTES;
using BoxKey = std::array<std::uint8_t, crypto_aead_xchacha20poly1305_ietf_KEYBYTES>;

struct Kdf {
  std::string salt;
  KdfCost cost;
};

struct KeyFile {
  PublicKey public_key{};
  std::string private_hex;  // when there is no passphrase
  std::optional<Kdf> kdf;
  std::string box;
};

void read_kdf(json::Reader& in, KeyFile& file) {
  Kdf kdf;
  if (in.text("name", 32) != kKdf) in.fail("name", "must be \"argon2id13\"");
  kdf.salt = in.text("salt", 2 * crypto_pwhash_SALTBYTES);
  kdf.cost.ops = static_cast<std::uint64_t>(in.integer("ops", 1, kMaxKdfOps));
  kdf.cost.memory = static_cast<std::uint64_t>(in.integer("memory", crypto_pwhash_MEMLIMIT_MIN, kMaxKdfMemory));
  file.kdf = std::move(kdf);
}

Result<KeyFile> parse_key_file(std::string_view text) {
  TRY_ASSIGN(json::Value document, json::parse(text, kMaxKeyFile));
  json::Reader in(document);
  KeyFile file;
  const auto version = in.integer("version", 1, INT32_MAX);
  const std::string keytype = in.text("keytype", 32);
  const std::string public_hex = in.text("public", 64);
  file.private_hex = in.text_or("private", "", 64);
  file.box = in.text_or("box", "", 256);
  in.object_or_none("kdf", [&](json::Reader& kdf) { read_kdf(kdf, file); });
  TRY(in.finish());
  if (version != 1) return Error(Code::unsupported, "a key file of version " + std::to_string(version));
  if (keytype != "ed25519") return Error(Code::unsupported, "a key of type \"" + keytype + "\"");
  const bool encrypted = file.kdf && !file.box.empty();
  if (encrypted == !file.private_hex.empty() || file.kdf.has_value() != !file.box.empty())
    return Error(Code::malformed, "a key file has either \"private\" or both \"kdf\" and \"box\"");
  TRY_ASSIGN(file.public_key, parse_public_key(public_hex));
  return file;
}

Status derive(BoxKey& key, std::string_view passphrase, ByteView salt, const KdfCost& cost) {
  need_sodium();
  if (crypto_pwhash(key.data(), key.size(), passphrase.data(), passphrase.size(), salt.data(), cost.ops, cost.memory,
                    crypto_pwhash_ALG_ARGON2ID13) == 0)
    return {};
  return Error(Code::unavailable,
               "not enough memory for the key's password hash (" + std::to_string(cost.memory >> 20) + " MiB)");
}

Result<Seed> open_box(const KeyFile& file, std::string_view passphrase) {
  TRY_ASSIGN(Bytes salt, from_hex(file.kdf->salt));
  TRY_ASSIGN(Bytes box, from_hex(file.box));
  Seed seed;
  if (salt.size() != crypto_pwhash_SALTBYTES || box.size() != kBoxNonce + seed.size() + kBoxTag)
    return Error(Code::malformed, "the key file's salt or box has the wrong length");
  BoxKey key;
  TRY(derive(key, passphrase, salt, file.kdf->cost));
  const int opened = crypto_aead_xchacha20poly1305_ietf_decrypt(seed.data(), nullptr, nullptr, box.data() + kBoxNonce,
                                                                box.size() - kBoxNonce, file.public_key.data(),
                                                                file.public_key.size(), box.data(), key.data());
  wipe(key);
  if (opened != 0) return Error(Code::unauthenticated, "the passphrase is wrong, or the key file is damaged");
  return seed;
}

Result<Seed> open_plain(const KeyFile& file) {
  TRY_ASSIGN(Bytes bytes, from_hex(file.private_hex));
  Seed seed;
  if (bytes.size() != seed.size()) return Error(Code::malformed, "the private key must have 64 hexadecimal digits");
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  wipe(bytes);
  return seed;
}

Status put_box(json::Value& document, const KeyPair& pair, Seed& seed, std::string_view passphrase, Rng& rng,
               const KdfCost& cost) {
  Bytes salt(crypto_pwhash_SALTBYTES);
  rng.fill(salt);
  Bytes box(kBoxNonce + seed.size() + kBoxTag);
  rng.fill(std::span(box).first(kBoxNonce));
  BoxKey key;
  TRY(derive(key, passphrase, salt, cost));
  crypto_aead_xchacha20poly1305_ietf_encrypt(box.data() + kBoxNonce, nullptr, seed.data(), seed.size(),
                                             pair.public_key().data(), pair.public_key().size(), nullptr, box.data(),
                                             key.data());
  wipe(key);
  document["kdf"] = {{"name", kKdf}, {"salt", to_hex(salt)}, {"ops", cost.ops}, {"memory", cost.memory}};
  document["box"] = to_hex(box);
  return {};
}

class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error system_error(const std::filesystem::path& path) {
  const int number = errno;
  const Code code = number == ENOENT   ? Code::not_found
                    : number == EEXIST ? Code::already_exists
                    : number == EACCES ? Code::permission_denied
                    : number == ENOSPC ? Code::disk_full
                                       : Code::io;
  return {code, path.string() + ": " + std::strerror(number)};
}

Status write_all(int fd, std::string_view text, const std::filesystem::path& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return system_error(path);
  return {};
}

}  // namespace

Result<std::string> encode_key(const KeyPair& pair, std::string_view passphrase, Rng& rng, KdfCost cost) {
  json::Value document = {{"version", 1}, {"keytype", "ed25519"}, {"public", to_hex(pair.public_key())}};
  Seed seed = pair.seed();
  Status status;
  if (passphrase.empty())
    document["private"] = to_hex(seed);
  else
    status = put_box(document, pair, seed, passphrase, rng, cost);
  wipe(seed);
  TRY(std::move(status));
  return document.dump(2) + "\n";
}

Result<KeyPair> decode_key(std::string_view text, std::string_view passphrase) {
  TRY_ASSIGN(KeyFile file, parse_key_file(text));
  if (file.kdf && passphrase.empty()) return Error(Code::unauthenticated, "the key is protected by a passphrase");
  TRY_ASSIGN(Seed seed, file.kdf ? open_box(file, passphrase) : open_plain(file));
  KeyPair pair = KeyPair::from_seed(seed);
  wipe(seed);
  wipe(file.private_hex);
  if (pair.public_key() != file.public_key)
    return Error(Code::malformed, "the key file's public and private halves do not belong together");
  return pair;
}

Result<bool> key_is_encrypted(std::string_view text) {
  TRY_ASSIGN(KeyFile file, parse_key_file(text));
  wipe(file.private_hex);
  return file.kdf.has_value();
}

Result<PublicKey> key_public_part(std::string_view text) {
  TRY_ASSIGN(KeyFile file, parse_key_file(text));
  wipe(file.private_hex);
  return file.public_key;
}

Status save_key_file(const std::filesystem::path& path, const KeyPair& pair, std::string_view passphrase, Rng& rng,
                     KdfCost cost) {
  TRY_ASSIGN(std::string text, encode_key(pair, passphrase, rng, cost));
  Status status;
  {
    const OpenFile file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) {
      wipe(text);
      return system_error(path);
    }
    status = write_all(file.get(), text, path);
  }
  wipe(text);
  // Half a key file would stop the next attempt with "already exists".
  if (!status) ::unlink(path.c_str());
  return status;
}

Result<std::string> read_key_file(const std::filesystem::path& path) { return read_secret_file(path, "a private key"); }

Result<std::string> read_secret_file(const std::filesystem::path& path, std::string_view what) {
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) return system_error(path);
  if (!S_ISREG(info.st_mode)) return Error(Code::invalid_argument, path.string() + " is not a regular file");
  if ((info.st_mode & 077) != 0)
    return Error(Code::permission_denied, path.string() + " holds " + std::string(what) +
                                              " and others may read or write it; run: chmod 600 " + path.string());
  if (static_cast<std::uint64_t>(info.st_size) > kMaxKeyFile)
    return Error(Code::too_large, path.string() + " is too large to hold " + std::string(what));
  std::string text(kMaxKeyFile, '\0');
  ssize_t got = 0;
  do got = ::read(file.get(), text.data(), text.size());
  while (got < 0 && errno == EINTR);
  if (got < 0) return system_error(path);
  text.resize(static_cast<std::size_t>(got));
  return text;
}

Result<KeyPair> load_key_file(const std::filesystem::path& path, std::string_view passphrase) {
  TRY_ASSIGN(std::string text, read_key_file(path));
  auto pair = decode_key(text, passphrase);
  wipe(text);
  return std::move(pair).within("reading the key " + path.string());
}

}  // namespace drover::crypto
