// The keys that the server signs with by itself: snapshot, timestamp, director. Each role has one key, and while it is
// being rotated a second one that waits until people have signed it into root or targets. Which of the two signs is not
// kept anywhere: it follows from the published metadata, so that a server killed at any moment comes up right.
//
//   <folder>/<role>.key        the key
//   <folder>/<role>.next.key   the one to come; takes the place of the other once the metadata names it
//
// Thread-safe. Blocks on the disk in open(), make_next() and settle().
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"
#include "common/tuf/metadata.h"

namespace drover::api {

inline constexpr std::array<std::string_view, 3> kOnlineRoles = {tuf::kSnapshot, tuf::kTimestamp, tuf::kDirector};

class OnlineKeys {
 public:
  struct Held {
    std::shared_ptr<const crypto::KeyPair> pair;
    tuf::Key key;
    WallTime made{};
  };
  struct Role {
    Held current;
    std::optional<Held> next;
  };

  // Makes the keys that are not there yet.
  static Result<std::unique_ptr<OnlineKeys>> open(std::filesystem::path folder, Rng& rng);

  // invalid_argument for a role that is not online.
  Result<Role> role(std::string_view name) const;
  // The key to come of this role, made now; one that waits already stays.
  Result<tuf::Key> make_next(std::string_view role, Rng& rng);
  // The key that signs for a role with these keys: the one to come before the present one. unknown_key when neither is
  // named with a threshold of 1.
  Result<Held> signer(std::string_view role, const tuf::RoleKeys& named) const;
  // After metadata with these keys was published: a key to come that it names becomes the present one, and the one
  // before is deleted. Does nothing otherwise.
  Status settle(std::string_view role, const tuf::RoleKeys& published);

 private:
  explicit OnlineKeys(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path file(std::string_view role, std::string_view suffix) const;
  static Result<Held> load(const std::filesystem::path& file);

  std::filesystem::path folder_;
  mutable std::mutex lock_;
  std::map<std::string, Role, std::less<>> roles_;
};

}  // namespace drover::api
