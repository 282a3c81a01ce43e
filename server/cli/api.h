// The people's HTTP API, as the commands see it: paths in, JSON out, problem details as errors. Blocking.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "server/cli/context.h"
#include "server/cli/profile.h"

namespace drover::net {
class BlockingHttpClient;
struct ClientRequest;
class ClientResponse;
}  // namespace drover::net

namespace drover::cli {

using Json = nlohmann::json;
// Bytes that have been moved since the last call.
using Moved = std::function<void(std::uint64_t bytes)>;

class Api {
 public:
  Api(std::unique_ptr<net::BlockingHttpClient> client, Context& context, Profile profile);
  ~Api();
  Api(Api&&) noexcept;

  const Profile& profile() const { return profile_; }

  // `path` is what follows /api/v1, its parts escaped. Errors: what the server's problem details say, and the client's.
  // POST carries an Idempotency-Key and is repeated once when the connection broke.
  Result<Json> get(std::string_view path);
  Result<Json> post(std::string_view path, const Json& body);
  Result<Json> put(std::string_view path, const Json& body);
  Result<Json> patch(std::string_view path, const Json& body);
  Status remove(std::string_view path);
  // A body that is not ours to write anew: signed metadata.
  Result<Json> post_raw(std::string_view path, std::string_view body);

  // All pages as one {"items":[...],"next":...}: `next` is null unless more than `limit` items were there.
  Result<Json> list(std::string_view path, std::size_t limit);

  // For watching. Empty: nothing new since `etag` within `wait`.
  struct Watched {
    Json document;
    std::string etag;
  };
  Result<std::optional<Watched>> watch(std::string_view path, std::string_view etag, std::chrono::seconds wait);

  // /metadata/<file>, bytes as they are; too_large over the limit.
  Result<std::string> metadata(std::string_view file, std::uint64_t limit);

  // Sends a blob, resuming what the server has of it already; true when it had all of it. digest_mismatch when the
  // file is not what it says.
  Result<bool> upload(const std::filesystem::path& file, const crypto::Digest& digest, std::uint64_t size,
                      const Moved& moved);
  // Fetches a blob into `file` (which must not exist), resuming after breaks; size and digest are checked.
  Status download(const crypto::Digest& digest, std::uint64_t size, const std::filesystem::path& file,
                  const Moved& moved);

 private:
  Result<net::ClientResponse> send(net::ClientRequest request);
  Result<Json> exchange(net::ClientRequest request);
  Result<Json> with_body(int method, std::string_view path, std::string body);
  Result<bool> finished_upload(const Json& body);
  Result<std::uint64_t> upload_offset(const std::string& id);
  Result<std::uint64_t> upload_chunk(const std::string& id, const std::filesystem::path& file, std::uint64_t offset,
                                     std::uint64_t length);
  Status download_rest(const std::string& digest, std::uint64_t size, int fd, std::uint64_t& have, const Moved& moved);

  std::unique_ptr<net::BlockingHttpClient> client_;
  Context* context_;
  Profile profile_;
};

// With the profile. Nothing is sent yet.
Result<Api> connect(Context& context);
Result<Api> connect(Context& context, Profile profile);

// One part of a path, escaped.
std::string part(std::string_view text);
// "?a=1&b=2" of the pairs whose value is not empty; "" when there is none.
std::string query(const std::vector<std::pair<std::string_view, std::string>>& pairs);

// Text of a field; empty when it is absent, null or no text.
std::string text_of(const Json& object, std::string_view name);
std::int64_t number_of(const Json& object, std::string_view name);
bool flag_of(const Json& object, std::string_view name);
// Whatever stands there; null when there is nothing.
const Json& member_of(const Json& object, std::string_view name);
// The array of that name; an empty one when there is none.
const Json& items_of(const Json& object, std::string_view name = "items");

}  // namespace drover::cli
