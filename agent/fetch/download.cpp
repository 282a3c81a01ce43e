#include "agent/fetch/download.h"

#include <algorithm>
#include <vector>

#include "agent/fetch/hashing.h"

namespace drover::agent {

namespace asio = boost::asio;

Download::Download(fs::Files& files, const Clock& clock, const Layout& layout, std::string digest, std::uint64_t size,
                   std::string deployment)
    : files_(files),
      clock_(clock),
      part_path_(layout.part(digest)),
      journal_path_(layout.journal(digest)),
      blob_path_(layout.blob(digest)),
      blobs_folder_(layout.blobs()),
      staging_folder_(layout.staging()),
      digest_(std::move(digest)),
      size_(size),
      deployment_(std::move(deployment)) {}

Download Download::of_delta(fs::Files& files, const Clock& clock, const Layout& layout, const std::string& target,
                            const std::string& base, std::uint64_t size, std::string deployment) {
  Download download(files, clock, layout, target, size, std::move(deployment));
  download.part_path_ = layout.delta(target, base);
  download.journal_path_ = download.part_path_ + ".journal";
  return download;
}

asio::awaitable<Status> Download::open(std::function<bool()> stop) {
  CO_TRY_ASSIGN(const std::string boot, files_.boot_id());
  const auto text = files_.read(journal_path_, kMaxJournal);
  auto journal = text ? parse_journal(*text) : Result<Journal>(text.error());
  journal_ = journal ? std::move(*journal) : Journal();
  const bool known = journal.has_value() && fs::exists(files_, part_path_);
  const bool same_boot = journal_.boot == boot;
  journal_.boot = boot;
  if (!known) {
    CO_TRY(fresh());
  } else if (same_boot) {
    CO_TRY(reopen_same_boot());
  } else {
    Status checked = co_await recheck_pieces(std::move(stop));
    if (!checked) co_return std::move(checked);
  }
  co_return take_over();
}

Status Download::fresh() {
  const std::string boot = journal_.boot;
  journal_ = Journal();
  journal_.boot = boot;
  TRY_ASSIGN(file_, files_.append(part_path_, 0));
  return save_journal();
}

Status Download::reopen_same_boot() {
  TRY_ASSIGN(file_, files_.append(part_path_, size_));
  while (!journal_.pieces.empty() && journal_.pieces.back().end > file_->size()) journal_.pieces.pop_back();
  return rehash_tail();
}

asio::awaitable<Status> Download::recheck_pieces(std::function<bool()> stop) {
  std::uint64_t good = 0;
  std::size_t kept = 0;
  for (const Piece& piece : journal_.pieces) {
    if (piece.end > size_) break;
    auto digest = co_await hash_range(files_, part_path_, good, piece.end - good, fs::Cache::drop, stop);
    if (!digest && digest.error().code() == Code::cancelled) co_return std::move(digest).error();
    if (!digest || *digest != piece.digest) break;
    good = piece.end;
    ++kept;
  }
  journal_.pieces.resize(kept);
  CO_TRY_ASSIGN(file_, files_.append(part_path_, good));
  co_return rehash_tail();
}

// The piece that is not complete is hashed from its beginning; whole pieces without a line get theirs.
Status Download::rehash_tail() {
  piece_hash_ = crypto::Sha256();
  piece_begin_ = journal_.pieces.empty() ? 0 : journal_.pieces.back().end;
  unsaved_lines_.clear();
  TRY_ASSIGN(const std::unique_ptr<fs::Reader> reader, files_.open(part_path_, fs::Cache::use));
  std::vector<char> block(kHashBlock);
  for (std::uint64_t at = piece_begin_; at < file_->size();) {
    const std::uint64_t room =
        std::min({static_cast<std::uint64_t>(block.size()), file_->size() - at, piece_begin_ + kPiece - at});
    TRY_ASSIGN(const std::size_t read, reader->read(at, std::span<char>(block.data(), static_cast<std::size_t>(room))));
    if (read == 0) return Error(Code::io, part_path_ + " ends early");
    piece_hash_.update(as_bytes(std::string_view(block.data(), read)));
    at += read;
    if (at == piece_begin_ + kPiece) {
      journal_.pieces.push_back({at, piece_hash_.finish()});
      piece_begin_ = at;
    }
  }
  return {};
}

// The counters are of one deployment: another one begins its own.
Status Download::take_over() {
  if (journal_.deployment != deployment_) {
    journal_.deployment = deployment_;
    journal_.start = offset();
    journal_.resumed = journal_.wasted = 0;
  }
  synced_ = offset();
  synced_at_ = clock_.mono();
  return save_journal();
}

Status Download::save_journal() {
  journal_file_.reset();
  unsaved_lines_.clear();
  if (file_) TRY(file_->sync());  // the lines tell of bytes that are on the disk
  TRY(fs::write_atomic(files_, journal_path_, print(journal_), 0600));
  TRY_ASSIGN(journal_file_, files_.append(journal_path_, kMaxJournal));
  return {};
}

Status Download::begin_try() {
  if (offset() == journal_.resumed) return {};
  journal_.resumed = offset();
  return save_journal();
}

Status Download::set_etag(std::string_view etag) {
  if (etag == journal_.etag) return {};
  journal_.etag = etag;
  return save_journal();
}

Status Download::start_over() {
  const std::uint64_t fetched = offset() - std::min(offset(), journal_.start);
  journal_.wasted += fetched;
  journal_.start = journal_.resumed = 0;
  journal_.etag.clear();
  journal_.pieces.clear();
  TRY_ASSIGN(file_, files_.append(part_path_, 0));
  piece_hash_ = crypto::Sha256();
  piece_begin_ = synced_ = 0;
  return save_journal();
}

Status Download::add_to_piece(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::uint64_t room = piece_begin_ + kPiece - offset();
    const std::string_view now = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(room, bytes.size())));
    TRY(file_->append(now));
    piece_hash_.update(as_bytes(now));
    bytes.remove_prefix(now.size());
    if (offset() != piece_begin_ + kPiece) continue;
    journal_.pieces.push_back({offset(), piece_hash_.finish()});
    unsaved_lines_ += print_piece(journal_.pieces.back());
    piece_begin_ = offset();
  }
  return {};
}

Status Download::write(std::string_view bytes) {
  if (bytes.size() > size_ - offset())
    return Error(Code::size_mismatch, "more bytes come than the signed size of " + std::to_string(size_));
  TRY(add_to_piece(bytes));
  const bool due = clock_.mono() - synced_at_ >= kCheckpointEvery || offset() - synced_ >= kCheckpointBytes;
  return due ? checkpoint() : Status();
}

Status Download::checkpoint() {
  if (offset() != synced_) TRY(file_->sync());
  if (!unsaved_lines_.empty()) {
    TRY(journal_file_->append(unsaved_lines_));
    TRY(journal_file_->sync());
    unsaved_lines_.clear();
  }
  synced_ = offset();
  synced_at_ = clock_.mono();
  return {};
}

asio::awaitable<Status> Download::finish(std::function<bool()> stop) {
  CO_TRY(checkpoint());
  Status checked = co_await check_file(files_, part_path_, digest_, size_, std::move(stop));
  if (!checked) {
    if (checked.error().code() == Code::digest_mismatch) CO_TRY(start_over());
    co_return std::move(checked);
  }
  CO_TRY(files_.set_mode(part_path_, 0444));
  CO_TRY(files_.rename(part_path_, blob_path_));
  CO_TRY(files_.sync_folder(blobs_folder_));
  journal_file_.reset();
  CO_TRY(files_.remove(journal_path_));
  co_return files_.sync_folder(staging_folder_);
}

Status Download::discard() {
  last_traffic_ = traffic();
  file_.reset();
  journal_file_.reset();
  TRY(files_.remove(part_path_));
  return files_.remove(journal_path_);
}

Traffic Download::traffic() const {
  if (!file_) return last_traffic_;
  return {offset() - std::min(offset(), journal_.start) + journal_.wasted, journal_.resumed};
}

}  // namespace drover::agent
