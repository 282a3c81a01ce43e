#include "common/net/http_files.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

// The token may be older than the device's decommissioning.
boost::asio::awaitable<Status> check_still_active(Api& api, const Call& call) {
  if (!call.session || call.session->revision == api.store.revision()) co_return Status();
  store::ReadFn<std::optional<store::Device>> read = [no = call.session->device_no](const store::Reader& reader) {
    return reader.devices.find(no);
  };
  Result<std::optional<store::Device>> device = co_await api.store.read(std::move(read));
  if (!device) co_return std::move(device).error();
  if (!*device || (*device)->view.state != fleet::DeviceState::active)
    co_return Error(Code::gone, "this device was decommissioned");
  co_return Status();
}

// An immutable file; `name` is its identity, and with quotes its ETag.
Result<net::Response> serve_file(const net::Request& request, const std::string& path, std::uint64_t size,
                                 const std::string& name) {
  TRY_ASSIGN(auto file, net::File::open(path));
  std::string etag = "\"";
  etag += name;
  etag += '"';
  net::Response response = net::file_response(request, std::move(file), size, etag, "application/octet-stream");
  response.headers.add("Cache-Control", "private, max-age=31536000, immutable");
  return response;
}

// The beginning of a download: what is resumed, asked about or cached is not counted again.
bool begins_download(const net::Request& request, const net::Response& response) {
  return request.method == net::Method::get && response.status == 200;
}

}  // namespace

Answer get_blob(Api& api, Call& call) {
  CO_TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(call.param(0)));
  Status active = co_await check_still_active(api, call);
  if (!active) co_return std::move(active).error();
  const auto size = api.blobs.size(digest);
  if (!size) co_return Error(Code::not_found, "there is no blob " + digest.text());
  CO_TRY_ASSIGN(net::Response response,
                serve_file(call.request, api.blobs.path(digest).string(), *size, digest.text()));
  if (*size >= deltas::kLeastFile && begins_download(call.request, response)) api.counters.blobs_served.add();
  co_return response;
}

Answer get_delta(Api& api, Call& call) {
  CO_TRY_ASSIGN(const crypto::Digest target, crypto::Digest::parse(call.param(0)));
  CO_TRY_ASSIGN(const crypto::Digest base, crypto::Digest::parse(call.param(1)));
  Status active = co_await check_still_active(api, call);
  if (!active) co_return std::move(active).error();
  const auto found = api.deltas == nullptr ? std::nullopt : api.deltas->find(target, base);
  if (!found) co_return Error(Code::not_found, "there is no delta from " + base.text() + " (yet)");
  CO_TRY_ASSIGN(net::Response response,
                serve_file(call.request, found->path, found->size, target.hex() + "-" + base.hex() + "-v1"));
  if (begins_download(call.request, response)) {
    api.counters.deltas_served.add();
    const auto whole = api.blobs.size(target);
    if (whole && *whole > found->size) api.counters.delta_bytes_saved.add(*whole - found->size);
  }
  co_return response;
}

}  // namespace drover::api
