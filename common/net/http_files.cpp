#include "common/net/http_files.h"

#include "common/net/ranges.h"

namespace drover::net {

Response file_response(const Request& request, std::shared_ptr<const File> file, std::uint64_t size,
                       std::string_view etag, std::string_view content_type) {
  Response response(200);
  response.headers.add("ETag", etag);
  response.headers.add("Accept-Ranges", "bytes");
  if (none_match_hit(request.header("if-none-match"), etag)) {
    response.status = 304;
    return response;
  }
  // Range has a meaning for GET only (RFC 9110, 14.2); a HEAD tells about the whole.
  const std::string_view range = request.method == Method::get ? request.header("range") : std::string_view();
  const RangeDecision decision = decide_range(range, request.header("if-range"), etag, size);
  if (decision.kind != RangeDecision::Kind::full) response.headers.add("Content-Range", content_range(decision, size));
  if (decision.kind == RangeDecision::Kind::unsatisfiable) {
    Response refused = problem_response(416, Code::range_not_satisfiable, "the range lies outside of the file");
    refused.headers = std::move(response.headers);
    return refused;
  }
  response.status = decision.kind == RangeDecision::Kind::partial ? 206 : 200;
  response.content_type = content_type;
  response.body = FileBody{std::move(file), decision.offset, decision.length};
  return response;
}

}  // namespace drover::net
