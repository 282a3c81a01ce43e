#include "server/app/data_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "common/crypto/box_key.h"
#include "common/crypto/key_file.h"
#include "common/crypto/secret.h"
#include "server/api/call.h"
#include "server/api/change.h"
#include "server/auth/token.h"

namespace drover::server {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kAdminTokenLife{365LL * 24 * 3600};

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, fs::perm_options::replace, error);
  if (error) return Error(Code::io, "making " + folder.string() + ": " + error.message());
  return {};
}

Status make_key(const fs::path& file, Rng& rng) {
  if (fs::exists(file)) return {};
  return crypto::save_key_file(file, crypto::KeyPair::generate(rng), "", rng);
}

Status write_secret(const fs::path& file, std::string_view text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Error(Code::io, "cannot make " + file.string() + (fs::exists(file) ? ": it is there already" : ""));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written) return Error(Code::io, "cannot write " + file.string());
  return {};
}

}  // namespace

Status prepare(const DataFolder& data, Rng& rng) {
  TRY(make_folder(data.folder));
  TRY(make_folder(data.keys()));
  return make_key(data.keys() / "session.key", rng);
}

Status make_wrapping_key(const fs::path& file, Rng& rng) {
  if (fs::exists(file)) return {};
  return crypto::BoxKey::generate(rng).save(file);
}

Result<api::Keys> load_keys(const DataFolder& data, Rng& rng) {
  TRY_ASSIGN(const crypto::KeyPair session, crypto::load_key_file(data.keys() / "session.key", ""));
  TRY_ASSIGN(auto online, api::OnlineKeys::open(data.keys(), rng));
  // The session key is symmetric: the file's secret half serves as it.
  return api::Keys{session.seed(), std::move(online)};
}

Result<std::string> admin_token(store::Store& store, const std::string& name, const std::string& file,
                                const Clock& clock, Rng& rng) {
  std::string text = crypto::random_token(auth::kTokenPrefix, rng);
  store::TokenRow token;
  TRY_ASSIGN(token.hash, auth::token_hash(text));
  token.id = api::random_id("t-", rng);
  token.name = name;
  token.role = auth::Role::admin;
  token.created_at = clock.wall();
  token.expires = token.created_at + kAdminTokenLife;
  store::WriteFn<void> write = [token](store::Writer& writer) -> Status {
    writer.control_changed();
    TRY(writer.tokens.insert(token));
    api::Effect effect;
    effect.action = "token.create";
    effect.subject = token.id;
    effect.detail = token.name + " as admin, made on the server itself";
    auth::Principal server;
    server.name = "server";
    return api::record(writer, server, effect, token.created_at);
  };
  TRY(store.write_now(write));
  if (file.empty()) return text;
  std::error_code ignored;
  fs::remove(file, ignored);  // of an earlier data folder, or one that has expired
  TRY(write_secret(file, text + "\n"));
  return std::string();
}

Result<std::string> first_admin_token(store::Store& store, const std::string& file, const Clock& clock, Rng& rng) {
  if (!store.control()->tokens.empty()) return std::string();
  return admin_token(store, "first admin", file, clock, rng);
}

}  // namespace drover::server
