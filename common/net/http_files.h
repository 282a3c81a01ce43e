// Answers a GET or HEAD of an immutable file: Range, If-Range, If-None-Match, strong ETag, 206, 304, 416.
#pragma once

#include "common/net/http_server.h"

namespace drover::net {

// `etag` with its quotes, `content_type` a literal. `size` is the whole file's. Does no I/O.
Response file_response(const Request& request, std::shared_ptr<const File> file, std::uint64_t size,
                       std::string_view etag, std::string_view content_type);

}  // namespace drover::net
