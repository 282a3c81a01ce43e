#include "server/api/online_keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/crypto/key_file.h"
#include "common/tuf/author.h"

namespace drover::api {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPresent = ".key";
constexpr std::string_view kNext = ".next.key";

bool holds(const tuf::RoleKeys& named, const tuf::Key& key) {
  return named.threshold == 1 && std::find(named.keyids.begin(), named.keyids.end(), key.id) != named.keyids.end();
}

// A rename that a power cut does not undo.
Status sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  return synced ? Status() : Error(Code::io, "cannot sync " + folder.string());
}

}  // namespace

fs::path OnlineKeys::file(std::string_view role, std::string_view suffix) const {
  std::string name(role);
  name += suffix;
  return folder_ / name;
}

Result<OnlineKeys::Held> OnlineKeys::load(const fs::path& file) {
  TRY_ASSIGN(crypto::KeyPair pair, crypto::load_key_file(file, ""));
  struct stat about {};
  if (::stat(file.c_str(), &about) != 0) return Error(Code::io, "cannot read " + file.string());
  Held held;
  held.key = tuf::make_key(pair.public_key());
  held.pair = std::make_shared<const crypto::KeyPair>(std::move(pair));
  held.made = WallTime(std::chrono::seconds(about.st_mtim.tv_sec));
  return held;
}

Result<std::unique_ptr<OnlineKeys>> OnlineKeys::open(fs::path folder, Rng& rng) {
  std::unique_ptr<OnlineKeys> keys(new OnlineKeys(std::move(folder)));
  for (const std::string_view role : kOnlineRoles) {
    const fs::path present = keys->file(role, kPresent), next = keys->file(role, kNext);
    if (!fs::exists(present)) TRY(crypto::save_key_file(present, crypto::KeyPair::generate(rng), "", rng));
    Role entry;
    TRY_ASSIGN(entry.current, load(present));
    if (fs::exists(next)) {
      TRY_ASSIGN(entry.next, load(next));
    }
    keys->roles_.emplace(role, std::move(entry));
  }
  return keys;
}

Result<OnlineKeys::Role> OnlineKeys::role(std::string_view name) const {
  const std::lock_guard guard(lock_);
  const auto found = roles_.find(name);
  if (found == roles_.end())
    return Error(Code::invalid_argument, "the online roles are snapshot, timestamp and director");
  return found->second;
}

Result<tuf::Key> OnlineKeys::make_next(std::string_view role, Rng& rng) {
  const std::lock_guard guard(lock_);
  const auto found = roles_.find(role);
  if (found == roles_.end())
    return Error(Code::invalid_argument, "the online roles are snapshot, timestamp and director");
  if (!found->second.next) {
    TRY(crypto::save_key_file(file(role, kNext), crypto::KeyPair::generate(rng), "", rng));
    TRY_ASSIGN(found->second.next, load(file(role, kNext)));
  }
  return found->second.next->key;
}

Result<OnlineKeys::Held> OnlineKeys::signer(std::string_view role, const tuf::RoleKeys& named) const {
  TRY_ASSIGN(Role held, this->role(role));
  if (held.next && holds(named, held.next->key)) return std::move(*held.next);
  if (holds(named, held.current.key)) return std::move(held.current);
  return Error(Code::unknown_key, "the metadata names none of this server's " + std::string(role) +
                                      " keys with threshold 1 (GET /trust shows them)");
}

Status OnlineKeys::settle(std::string_view role, const tuf::RoleKeys& published) {
  const std::lock_guard guard(lock_);
  const auto found = roles_.find(role);
  if (found == roles_.end() || !found->second.next || !holds(published, found->second.next->key)) return {};
  std::error_code error;
  fs::rename(file(role, kNext), file(role, kPresent), error);
  if (error) return Error(Code::io, "renaming the new key of " + std::string(role) + ": " + error.message());
  found->second.current = std::move(*found->second.next);
  found->second.next.reset();
  return sync_folder(folder_);
}

}  // namespace drover::api
