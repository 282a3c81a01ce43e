// One file on its way to the disk: staging/<hex>.part and its journal, then blobs/<hex>; or a delta, which stays in
// staging. Knows nothing of the network.
//
// Within one boot every byte that was written is trusted, since the page cache outlives the process; after a reboot
// only pieces whose digest the journal holds and the disk gives back. The whole is read again before it becomes a blob.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/fetch/journal.h"
#include "agent/store/layout.h"
#include "agent/store/store.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/fs/files.h"
#include "common/time/clock.h"

namespace drover::agent {

// Synced and written down at most this often: what a power cut can cost, against the wear of the flash.
inline constexpr std::chrono::seconds kCheckpointEvery{1};
inline constexpr std::uint64_t kCheckpointBytes = 16u << 20;  // and at least after so many bytes: bounds dirty memory

class Download {
 public:
  // `files` and `clock` must outlive the object. `digest` as "sha256:<hex>".
  Download(fs::Files& files, const Clock& clock, const Layout& layout, std::string digest, std::uint64_t size,
           std::string deployment);

  // A delta from `base` to `target`, of this size as the server says: nobody has signed it, so that it is never finished
  // but applied, and then discarded.
  static Download of_delta(fs::Files& files, const Clock& clock, const Layout& layout, const std::string& target,
                           const std::string& base, std::uint64_t size, std::string deployment);

  // Finds out how much is there and may be trusted. Before anything else. io, disk_full.
  boost::asio::awaitable<Status> open(std::function<bool()> stop);

  std::uint64_t offset() const { return file_ ? file_->size() : 0; }
  std::uint64_t size() const { return size_; }
  const std::string& digest() const { return digest_; }
  bool complete() const { return offset() == size_; }
  const std::string& etag() const { return journal_.etag; }

  // A request for the rest goes out.
  Status begin_try();
  // The server answers with this validator; empty: none.
  Status set_etag(std::string_view etag);
  // Throws away what is there: the server has something else now.
  Status start_over();
  // size_mismatch when it would grow beyond its size.
  Status write(std::string_view bytes);
  // What was written is synced and written down.
  Status checkpoint();
  // Reads it again, from the disk, and makes it a blob. digest_mismatch: it is thrown away.
  boost::asio::awaitable<Status> finish(std::function<bool()> stop);

  // Removes it, complete or not, with its journal. Nothing else may be called afterwards but traffic().
  Status discard();

  // Of this file, in this deployment.
  Traffic traffic() const;

 private:
  Status fresh();
  Status reopen_same_boot();
  boost::asio::awaitable<Status> recheck_pieces(std::function<bool()> stop);
  Status rehash_tail();
  Status take_over();
  Status add_to_piece(std::string_view bytes);
  Status save_journal();

  fs::Files& files_;
  const Clock& clock_;
  std::string part_path_, journal_path_, blob_path_, blobs_folder_, staging_folder_;
  std::string digest_;
  std::uint64_t size_;
  std::string deployment_;
  Journal journal_;
  std::unique_ptr<fs::Appender> file_;
  std::unique_ptr<fs::Appender> journal_file_;
  crypto::Sha256 piece_hash_;
  std::uint64_t piece_begin_ = 0;
  std::string unsaved_lines_;  // of pieces that are not synced yet
  std::uint64_t synced_ = 0;
  MonoTime synced_at_{};
  Traffic last_traffic_;  // when it was discarded
};

}  // namespace drover::agent
