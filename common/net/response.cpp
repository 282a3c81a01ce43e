#include <cstdio>

#include "common/net/http_server.h"
#include "common/net/status_text.h"

namespace drover::net {
namespace {

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      out += escape;
    } else {
      // What is not ASCII comes from our own sentences or quotes the request; bytes that are not UTF-8 must not leave.
      out += byte < 0x80 ? c : '?';
    }
  }
  out += '"';
}

}  // namespace

void Response::clear() {
  status = 200;
  content_type = {};
  headers.clear();
  if (auto* text = std::get_if<std::string>(&body))
    text->clear();
  else
    body.emplace<std::string>();
  close = false;
}

Response problem_response(int status, Code code, std::string_view detail) {
  std::string body = "{\"type\":\"about:blank\",\"title\":";
  append_json_string(body, status_text(status));
  body += ",\"status\":" + std::to_string(status) + ",\"code\":";
  append_json_string(body, code_name(code));
  body += ",\"detail\":";
  append_json_string(body, detail);
  body += "}";
  return Response(status, "application/problem+json", std::move(body));
}

Response problem_response(const Error& error) {
  return problem_response(http_status(error.code()), error.code(), error.message());
}

}  // namespace drover::net
