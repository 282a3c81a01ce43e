// Confidential packages on a device. On the disk lie their files as they came, encrypted, and their content keys, each
// sealed to this device's own key; applications read them as plain text that is in memory only:
//
//   <state>/box.key              this device's decryption key, unless a setting keeps it elsewhere
//   <state>/sealed/<hex>         the content key of a package, in a box that box.key opens
//   <plain folder>/<hex>/        tmpfs: the package in the clear; complete when it is there
//   <state>/open/<hex>/          memfd: links to files that live in this process' memory
//
// Content keys are opened for each use and wiped after it. Blocking but where it says otherwise; one thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/store/layout.h"
#include "agent/vault/opening.h"
#include "common/base/result.h"
#include "common/crypto/box_key.h"
#include "common/fs/files.h"
#include "common/fs/memory_place.h"
#include "common/package/manifest.h"
#include "common/package/policy.h"
#include "common/rng/rng.h"

namespace drover::agent {

// A package with all that opening it takes.
struct Confidential {
  std::string package;  // "sha256:<manifest>"
  package::Manifest manifest;
  package::PlainPlace place = package::PlainPlace::tmpfs;
};

class Vault {
 public:
  struct Options {
    std::string plain_folder;  // this device's own, in a tmpfs or ramfs; made when it is needed
    std::string box_key;       // file; empty: <state>/box.key
    bool allow_swap = false;   // although memory may be swapped to a disk
  };
  // `files` and `rng` must outlive the object.
  Vault(fs::Files& files, Layout layout, Options options, Rng& rng);
  ~Vault();

  // Makes the key at the first start, and throws away what another process left half done or dangling.
  Status prepare();
  const crypto::BoxPublicKey& box_key() const { return box_public_; }

  // pending: there is no sealed key here. unknown_key: it cannot be opened with this device's key, or is another
  // package's, or is not the one that the manifest names.
  Result<crypto::ContentKey> key(const std::string& package, const package::Manifest& manifest);
  // Kept when it opens and is the right one; unknown_key otherwise.
  Status keep_key(const std::string& package, const package::Manifest& manifest, ByteView sealed);

  // preflight_policy: plain text would not be in memory alone. preflight_memory: not enough of it.
  Status preflight(const Confidential& what);

  // Nothing to do when it is open. Errors of key() and preflight(); digest_mismatch. Half of it is never seen.
  Status open_now(const Confidential& what);
  // The same on the event loop, giving way between blocks; cancelled when `stop` says so.
  boost::asio::awaitable<Status> open(Confidential what, std::function<bool()> stop);
  bool is_open(const Confidential& what) const;
  // The folder in which applications find it, open or not.
  std::string folder(const Confidential& what) const;
  // A file of it in the clear, to be opened in this process; empty when the package is not open.
  std::string plain_file(const std::string& package, const std::string& path) const;

  // Closes all packages but these: the plain text goes, but for what applications hold open.
  Status close_others(std::span<const std::string> kept);
  // Forgets the keys of all packages but these.
  Status forget_others(std::span<const std::string> kept);

 private:
  class TmpfsPlace;
  class MemoryPlace;
  Status make_plain_folder();
  Status check_swap();
  Result<std::unique_ptr<Opening>> begin(const Confidential& what);
  Status finish(const Confidential& what);
  void give_up(const Confidential& what);
  Status remove_opened(const std::string& folder);
  std::string staging(const Confidential& what) const;

  fs::Files& files_;
  Layout layout_;
  Options options_;
  Rng& rng_;
  std::string box_key_file_;
  crypto::BoxPublicKey box_public_{};
  // Files in memory by package; of the last, those of an opening under way.
  std::map<std::string, std::vector<fs::MemoryFile>> memory_;
};

}  // namespace drover::agent
