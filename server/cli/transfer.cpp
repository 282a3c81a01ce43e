// Blobs up and down: the part of Api that moves bytes and resumes after breaks.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/net/http_client.h"
#include "common/net/ranges.h"
#include "proto/json/reader.h"
#include "proto/wire/problem.h"
#include "server/cli/api.h"
#include "server/cli/human.h"

namespace drover::cli {
namespace {

constexpr std::uint64_t kChunk =
    8u << 20;                  // what a broken connection costs at most; also the grain of the progress bar
constexpr int kMaxBreaks = 8;  // without a byte in between; with kFirstPause doubled each time: two minutes
constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::hours kTransferDeadline{12};
constexpr std::size_t kMaxAnswer = 64 * 1024;
constexpr int kPartial = 206;

bool worth_a_retry(Code code) {
  return code == Code::unavailable || code == Code::timeout || code == Code::rate_limited;
}

// Counts breaks; bytes that moved make them forgotten.
class Breaks {
 public:
  explicit Breaks(Context& context) : context_(context) {}
  void forget() { count_ = 0; }
  // The error when it is final, else waits.
  Status after(Error error, bool passes) {
    if (!passes || ++count_ > kMaxBreaks) return error;
    context_.pause(kFirstPause * (1 << std::min(count_ - 1, 6)));
    return {};
  }

 private:
  Context& context_;
  int count_ = 0;
};

class FileSink final : public net::ResponseSink {
 public:
  FileSink(int fd, std::uint64_t size, std::uint64_t& have, const Moved& moved)
      : fd_(fd), size_(size), have_(have), moved_(moved) {}

  Status begin(const net::ClientResponse& head) override {
    net::ContentRange range;
    if (head.status != kPartial) {
      have_ = 0;
    } else if (!net::parse_content_range(head.header("Content-Range"), range) || range.first != have_) {
      return Error(Code::malformed, "the server answered with another range than asked for");
    }
    if (::ftruncate(fd_, static_cast<off_t>(have_)) == 0 && ::lseek(fd_, static_cast<off_t>(have_), SEEK_SET) >= 0)
      return {};
    return Error(Code::io, std::strerror(errno));
  }

  Status write(std::string_view chunk) override {
    if (chunk.size() > size_ - have_)
      return Error(Code::size_mismatch, "the server sends more bytes than the release says");
    while (!chunk.empty()) {
      const ssize_t written = ::write(fd_, chunk.data(), chunk.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Error(errno == ENOSPC ? Code::disk_full : Code::io, std::strerror(errno));
      have_ += static_cast<std::uint64_t>(written);
      moved_(static_cast<std::uint64_t>(written));
      chunk.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

 private:
  int fd_;
  std::uint64_t size_;
  std::uint64_t& have_;
  const Moved& moved_;
};

Error problem(const net::ClientResponse& response) {
  Error error = wire::decode_problem(response.status, response.body);
  return Error(error.code(), printable(error.message().empty() ? code_name(error.code()) : error.message()));
}

net::ClientRequest transfer_request(net::Method method, std::string target) {
  net::ClientRequest out;
  out.method = method;
  out.target = std::move(target);
  out.deadline = kTransferDeadline;
  out.max_body = kMaxAnswer;
  return out;
}

}  // namespace

Result<std::uint64_t> Api::upload_offset(const std::string& id) {
  TRY_ASSIGN(const Json answer, get("/uploads/" + part(id)));
  return static_cast<std::uint64_t>(number_of(answer, "offset"));
}

// The upload is no longer known: it is complete, or the server dropped it.
Result<bool> Api::finished_upload(const Json& body) {
  TRY_ASSIGN(const Json again, post("/uploads", body));
  if (flag_of(again, "complete")) return false;
  return Error(Code::conflict, "the server dropped the upload; run the same command again");
}

Result<std::uint64_t> Api::upload_chunk(const std::string& id, const std::filesystem::path& file, std::uint64_t offset,
                                        std::uint64_t length) {
  TRY_ASSIGN(auto opened, net::File::open(file.string()));
  net::ClientRequest out = transfer_request(net::Method::patch, "/api/v1/uploads/" + part(id));
  out.headers.add("Upload-Offset", std::to_string(offset));
  out.headers.add("Content-Type", "application/octet-stream");
  out.body = net::FileBody{std::move(opened), offset, length};
  TRY_ASSIGN(const net::ClientResponse response, send(std::move(out)));
  if (!response.ok()) return problem(response);
  TRY_ASSIGN(const Json answer, json::parse(response.body, kMaxAnswer));
  return static_cast<std::uint64_t>(number_of(answer, "offset"));
}

Result<bool> Api::upload(const std::filesystem::path& file, const crypto::Digest& digest, std::uint64_t size,
                         const Moved& moved) {
  const Json body = {{"digest", digest.text()}, {"size", size}};
  TRY_ASSIGN(const Json opened, post("/uploads", body));
  if (flag_of(opened, "complete")) return true;
  const std::string id = text_of(opened, "id");
  if (id.empty()) return Error(Code::malformed, "the server opened an upload without an id");
  std::uint64_t offset = static_cast<std::uint64_t>(number_of(opened, "offset"));
  moved(offset);
  Breaks breaks(*context_);
  bool lost = false;       // we do not know where the server stands
  bool empty = size == 0;  // is closed by one chunk of no bytes
  while (offset < size || lost || empty) {
    empty = false;
    auto reached = lost ? upload_offset(id) : upload_chunk(id, file, offset, std::min(kChunk, size - offset));
    // Somebody else (or an answer that got lost) moved it on, or the server is still busy with a broken request: look
    // where it stands.
    const bool moved_on = !reached && reached.error().code() == Code::conflict && !lost;
    if (!reached && lost && reached.error().code() == Code::not_found) return finished_upload(body);
    lost = !reached;
    if (!reached) {
      TRY(breaks.after(reached.error(), moved_on || worth_a_retry(reached.error().code())));
      continue;
    }
    if (*reached > size) return Error(Code::malformed, "the server says that it has more bytes than there are");
    if (*reached > offset) {
      moved(*reached - offset);
      breaks.forget();
    }
    offset = *reached;
  }
  return false;
}

Status Api::download_rest(const std::string& digest, std::uint64_t size, int fd, std::uint64_t& have,
                          const Moved& moved) {
  FileSink sink(fd, size, have, moved);
  net::ClientRequest out = transfer_request(net::Method::get, "/api/v1/blobs/" + digest);
  out.sink = &sink;
  out.max_streamed = size - have;
  if (have > 0) {
    out.headers.add("Range", fmt::format("bytes={}-", have));
    out.headers.add("If-Range", "\"" + digest + "\"");
    out.max_streamed = size;
  }
  TRY_ASSIGN(const net::ClientResponse response, send(std::move(out)));
  if (!response.ok()) return problem(response);
  return {};
}

Status Api::download(const crypto::Digest& digest, std::uint64_t size, const std::filesystem::path& file,
                     const Moved& moved) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return Error(Code::io, file.string() + ": " + std::strerror(errno));
  const auto closing = [](int* open) { ::close(*open); };
  int owned = fd;
  const std::unique_ptr<int, decltype(closing)> closer(&owned, closing);
  Breaks breaks(*context_);
  std::uint64_t have = 0;
  for (bool once = false; have < size || !once; once = true) {
    const std::uint64_t before = have;
    Status fetched = download_rest(digest.text(), size, fd, have, moved);
    if (have > before) breaks.forget();
    if (!fetched)
      TRY(breaks.after(fetched.error(), worth_a_retry(fetched.error().code())));
    else if (have < size)
      return Error(Code::size_mismatch, digest.text() + ": the server has fewer bytes than the release says");
  }
  TRY_ASSIGN(const crypto::HashedFile hashed, crypto::sha256_file(file));
  if (hashed.digest == digest && hashed.size == size) return {};
  return Error(Code::digest_mismatch, digest.text() + ": the server sent other bytes");
}

}  // namespace drover::cli
