// Uploads that go on where they stopped. Bytes count as stored when they are on disk for good.
#include <charconv>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxBody = 4096;
constexpr std::int64_t kMaxBlob = std::int64_t{1} << 40;  // 1 TiB, as packages have it

struct Announced {
  crypto::Digest digest;
  std::uint64_t size = 0;
};

Result<Announced> decode(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxBody));
  json::Reader in(document);
  const std::string digest = in.text("digest", 128);
  Announced out;
  out.size = static_cast<std::uint64_t>(in.integer("size", 0, kMaxBlob));
  TRY(in.finish());
  TRY_ASSIGN(out.digest, crypto::Digest::parse(digest).within("/digest"));
  return out;
}

Effect state_of(const store::UploadRow& row, int status) {
  const nlohmann::json body = {{"id", row.id}, {"offset", row.stored}, {"size", row.size}, {"complete", false}};
  return json_effect(status, body);
}

Result<Effect> begin(store::Writer& writer, const store::UploadRow& row) {
  TRY_ASSIGN(const auto under_way, writer.uploads.find_digest(row.digest));
  if (under_way && under_way->size == row.size) return state_of(*under_way, 201);
  if (under_way) TRY(writer.uploads.remove(under_way->id));
  TRY_ASSIGN(const std::int64_t count, writer.uploads.count());
  if (count >= store::kMaxUploads) return Error(Code::unavailable, "too many uploads are under way; try again later");
  TRY(writer.uploads.insert(row));
  Effect effect = state_of(row, 201);
  effect.action = "upload.begin";
  effect.subject = row.digest;
  effect.detail = std::to_string(row.size) + " bytes";
  return effect;
}

boost::asio::awaitable<Result<store::UploadRow>> find_upload(Api& api, std::string id) {
  store::ReadFn<std::optional<store::UploadRow>> read = [id](const store::Reader& reader) {
    return reader.uploads.find(id);
  };
  Result<std::optional<store::UploadRow>> row = co_await api.store.read(std::move(read));
  if (!row) co_return std::move(row).error();
  if (!*row) co_return Error(Code::not_found, "there is no upload " + id.substr(0, 64) + " (any more); begin it anew");
  co_return std::move(**row);
}

Result<std::uint64_t> offset_of(const net::Request& request) {
  const std::string_view text = request.header("Upload-Offset");
  std::uint64_t offset = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return Error(Code::invalid_argument, "the header Upload-Offset must say where the bytes go");
  return offset;
}

// Takes what comes; the number of bytes written. The client may go away in the middle: what came counts.
boost::asio::awaitable<Result<std::uint64_t>> receive(Api& api, net::BodyReader& body, const store::UploadRow row) {
  std::uint64_t at = row.stored;
  for (;;) {
    Result<std::string_view> chunk = co_await body.next();
    if (!chunk && at > row.stored) break;
    if (!chunk) co_return std::move(chunk).error();
    if (chunk->empty()) break;
    if (chunk->size() > row.size - at)
      co_return Error(Code::size_mismatch, "the body goes beyond the announced size of " + std::to_string(row.size));
    async::BlockingFn<void> append = [&api, &row, at, bytes = *chunk] { return api.blobs.append(row.id, at, bytes); };
    Status written = co_await api.disk.run(std::move(append));
    if (!written) co_return std::move(written).error();
    at += chunk->size();
  }
  async::BlockingFn<void> sync = [&api, &row] { return api.blobs.sync(row.id); };
  Status synced = co_await api.disk.run(std::move(sync));
  if (!synced) co_return std::move(synced).error();
  co_return at;
}

boost::asio::awaitable<Status> note_stored(Api& api, std::string id, std::uint64_t stored) {
  store::WriteFn<void> write = [id, stored](store::Writer& writer) { return writer.uploads.set_stored(id, stored); };
  co_return co_await api.store.write(std::move(write));
}

// The upload is over; when the blob is there, that is a change like others.
store::WriteFn<void> ending(const store::UploadRow& row, const auth::Principal& who, bool there, WallTime now) {
  return [row, who, there, now](store::Writer& writer) -> Status {
    TRY(writer.uploads.remove(row.id));
    if (!there) return {};
    Effect effect;
    effect.action = "blob.store";
    effect.subject = row.digest;
    effect.detail = std::to_string(row.size) + " bytes";
    return record(writer, who, effect, now);
  };
}

boost::asio::awaitable<Status> complete(Api& api, const store::UploadRow row, const auth::Principal who) {
  CO_TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(row.digest));
  async::BlockingFn<void> finish = [&api, id = row.id, digest, size = row.size] {
    return api.blobs.finish(id, digest, size);
  };
  const Status finished = co_await api.disk.run(std::move(finish));
  const bool dropped = !finished && (finished.error().code() == Code::digest_mismatch ||
                                     finished.error().code() == Code::size_mismatch);
  if (!finished && !dropped) co_return finished;
  store::WriteFn<void> write = ending(row, who, finished.has_value(), api.clock.wall());
  const Status removed = co_await api.store.write(std::move(write));
  co_return finished ? removed : finished;
}

}  // namespace

Answer post_upload(Api& api, Call& call) {
  CO_TRY_ASSIGN(const Announced announced, decode(call.request.body));
  const auto there = api.blobs.size(announced.digest);
  if (there && *there != announced.size)
    co_return Error(Code::size_mismatch, "that blob is here, and has " + std::to_string(*there) + " bytes");
  if (there) {
    const nlohmann::json body = {{"complete", true}, {"offset", *there}, {"size", *there}};
    co_return json_response(200, body);
  }
  store::UploadRow row;
  row.id = random_id("up-", api.rng);
  row.digest = announced.digest.text();
  row.size = announced.size;
  row.created_by = call.who.name;
  row.created_at = api.clock.wall();
  ChangeFn fn = [row](store::Writer& writer) { return begin(writer, row); };
  co_return co_await change(api, call, std::move(fn));
}

Answer get_upload(Api& api, Call& call) {
  Result<store::UploadRow> row = co_await find_upload(api, call.param(0));
  if (!row) co_return std::move(row).error();
  const nlohmann::json body = {{"id", row->id}, {"offset", row->stored}, {"size", row->size}, {"complete", false}};
  net::Response response = json_response(200, body);
  response.headers.add("Upload-Offset", std::to_string(row->stored));
  response.headers.add("Cache-Control", "no-store");
  co_return response;
}

Answer patch_upload(Api& api, Call& call) {
  CO_TRY_ASSIGN(const std::uint64_t offset, offset_of(call.request));
  const Busy::Hold hold(api.uploads, call.param(0));
  if (!hold) co_return Error(Code::conflict, "another request writes to this upload; ask where it stands and try again");
  Result<store::UploadRow> row = co_await find_upload(api, call.param(0));
  if (!row) co_return std::move(row).error();
  if (offset != row->stored)
    co_return Error(Code::conflict, "the upload stands at byte " + std::to_string(row->stored) + "; go on there");
  if (call.request.stream == nullptr) co_return Error(Code::internal, "an upload's body must be streamed");
  Result<std::uint64_t> at = co_await receive(api, *call.request.stream, *row);
  if (!at) co_return std::move(at).error();
  Status noted = co_await note_stored(api, row->id, *at);
  if (!noted) co_return std::move(noted).error();
  const bool all = *at == row->size;
  if (all) {
    Status completed = co_await complete(api, *row, call.who);
    if (!completed) co_return std::move(completed).error();
  }
  const nlohmann::json body = {{"id", row->id}, {"offset", *at}, {"size", row->size}, {"complete", all}};
  co_return json_response(200, body);
}

}  // namespace drover::api
