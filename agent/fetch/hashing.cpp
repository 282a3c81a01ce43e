#include "agent/fetch/hashing.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

namespace drover::agent {

namespace asio = boost::asio;

asio::awaitable<Result<crypto::Digest>> hash_range(fs::Files& files, std::string path, std::uint64_t offset,
                                                   std::uint64_t length, fs::Cache cache, std::function<bool()> stop) {
  const auto executor = co_await asio::this_coro::executor;
  CO_TRY_ASSIGN(const std::unique_ptr<fs::Reader> reader, files.open(path, cache));
  crypto::Sha256 hash;
  std::vector<char> block(kHashBlock);
  while (length > 0) {
    if (stop && stop()) co_return Error(Code::cancelled, "stopped while hashing");
    const std::span<char> room(block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(length, block.size())));
    CO_TRY_ASSIGN(const std::size_t read, reader->read(offset, room));
    if (read < room.size()) co_return Error(Code::size_mismatch, path + " is shorter than it should be");
    hash.update(as_bytes(std::string_view(room.data(), read)));
    offset += read;
    length -= read;
    co_await asio::post(executor, asio::use_awaitable);
  }
  co_return hash.finish();
}

asio::awaitable<Status> check_file(fs::Files& files, std::string path, std::string digest, std::uint64_t size,
                                   std::function<bool()> stop) {
  CO_TRY_ASSIGN(const fs::Info info, files.info(path));
  if (info.kind != fs::Kind::file || info.size != size)
    co_return Error(Code::size_mismatch,
                    path + " has " + std::to_string(info.size) + " bytes, signed are " + std::to_string(size));
  auto found = co_await hash_range(files, path, 0, size, fs::Cache::drop, std::move(stop));
  if (!found) co_return std::move(found).error();
  if (found->text() != digest) co_return Error(Code::digest_mismatch, path + " has the digest " + found->text());
  co_return Status();
}

}  // namespace drover::agent
