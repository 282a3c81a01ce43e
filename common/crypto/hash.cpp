#include "common/crypto/hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace drover::crypto {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::size_t kFileBlock = 256 * 1024;  // large enough to hide the system call, small enough for any device

// Fetched once: the implicit fetch of EVP_sha256() costs more than hashing a short message.
const EVP_MD* sha256_method() {
  static EVP_MD* method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (method == nullptr) std::abort();
  return method;
}

const EVP_MD* sha512_method() {
  static EVP_MD* method = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  if (method == nullptr) std::abort();
  return method;
}

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error open_error(const std::filesystem::path& path) {
  const std::string what = path.string() + ": " + std::strerror(errno);
  if (errno == ENOENT) return {Code::not_found, what};
  if (errno == ELOOP) return {Code::unsafe_path, path.string() + " is a symbolic link"};
  if (errno == ENXIO) return {Code::unsafe_path, path.string() + " is not a regular file"};
  return {Code::io, what};
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) return Error(Code::malformed, "a digest begins with \"sha256:\"");
  return parse_hex(text.substr(kPrefix.size()));
}

Result<Digest> Digest::parse_hex(std::string_view hex) {
  // One spelling only: digests are compared as text in file names and URLs.
  const bool canonical = hex.size() == 2 * kSha256Size && hex.find_first_not_of("0123456789abcdef") == hex.npos;
  if (!canonical) return Error(Code::malformed, "a SHA-256 digest has 64 lower-case hexadecimal digits");
  TRY_ASSIGN(Bytes bytes, from_hex(hex));
  Raw raw{};
  std::copy(bytes.begin(), bytes.end(), raw.begin());
  return Digest(raw);
}

std::string Digest::hex() const { return to_hex(raw_); }
std::string Digest::text() const { return std::string(kPrefix) + hex(); }

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() {
    if (context == nullptr) std::abort();
    restart();
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  void restart() {
    if (EVP_DigestInit_ex2(context, sha256_method(), nullptr) != 1) std::abort();
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) {
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) std::abort();
}

Digest Sha256::finish() {
  Digest::Raw raw{};
  if (EVP_DigestFinal_ex(state_->context, raw.data(), nullptr) != 1) std::abort();
  state_->restart();
  return Digest(raw);
}

Digest sha256(ByteView bytes) {
  Digest::Raw raw{};
  if (EVP_Digest(bytes.data(), bytes.size(), raw.data(), nullptr, sha256_method(), nullptr) != 1) std::abort();
  return Digest(raw);
}

std::array<std::uint8_t, kSha512Size> sha512(ByteView bytes) {
  std::array<std::uint8_t, kSha512Size> raw;
  if (EVP_Digest(bytes.data(), bytes.size(), raw.data(), nullptr, sha512_method(), nullptr) != 1) std::abort();
  return raw;
}

Result<HashedFile> sha256_file(const std::filesystem::path& path) {
  const OpenFile file(path);
  if (file.get() < 0) return open_error(path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return open_error(path);
  if (!S_ISREG(info.st_mode)) return Error(Code::unsafe_path, path.string() + " is not a regular file");
  HashedFile hashed;
  Sha256 hash;
  std::vector<std::uint8_t> block(kFileBlock);
  for (;;) {
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error(Code::io, path.string() + ": " + std::strerror(errno));
    if (got == 0) break;
    hash.update(ByteView(block).first(static_cast<std::size_t>(got)));
    hashed.size += static_cast<std::uint64_t>(got);
  }
  hashed.digest = hash.finish();
  return hashed;
}

}  // namespace drover::crypto

std::size_t std::hash<drover::crypto::Digest>::operator()(const drover::crypto::Digest& digest) const noexcept {
  std::size_t value = 0;
  std::memcpy(&value, digest.raw().data(), sizeof value);  // already uniform
  return value;
}
