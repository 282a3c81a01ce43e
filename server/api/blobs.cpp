#include "common/net/http_files.h"
#include "server/api/resources.h"

namespace drover::api {

Answer get_blob(Api& api, Call& call) {
  CO_TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(call.param(0)));
  if (call.session && call.session->revision != api.store.revision()) {
    // The token may be older than the device's decommissioning.
    store::ReadFn<std::optional<store::Device>> read = [no = call.session->device_no](const store::Reader& reader) {
      return reader.devices.find(no);
    };
    Result<std::optional<store::Device>> device = co_await api.store.read(std::move(read));
    if (!device) co_return std::move(device).error();
    if (!*device || (*device)->view.state != fleet::DeviceState::active)
      co_return Error(Code::gone, "this device was decommissioned");
  }
  const auto size = api.blobs.size(digest);
  if (!size) co_return Error(Code::not_found, "there is no blob " + digest.text());
  CO_TRY_ASSIGN(auto file, net::File::open(api.blobs.path(digest).string()));
  std::string etag = "\"";
  etag += digest.text();
  etag += '"';
  net::Response response = net::file_response(call.request, std::move(file), *size, etag, "application/octet-stream");
  response.headers.add("Cache-Control", "private, max-age=31536000, immutable");
  co_return response;
}

}  // namespace drover::api
