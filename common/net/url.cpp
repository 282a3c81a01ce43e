#include <charconv>

#include "common/net/http_client.h"

namespace drover::net {
namespace {

Error wrong(std::string_view text, std::string_view why) {
  return Error(Code::invalid_argument, "'" + std::string(text.substr(0, 200)) + "' " + std::string(why));
}

bool has_forbidden(std::string_view text) {
  for (char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '@' || c == '?' || c == '#' || c == '\\') return true;
  return false;
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return wrong(text, "does not begin with https:// or http://");
  }
  if (has_forbidden(rest)) return wrong(text, "has a space, user, query or fragment; only a host, a port and a path fit");
  const std::string_view authority = rest.substr(0, rest.find('/'));
  url.prefix = rest.substr(authority.size());
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return wrong(text, "lacks the ']' of its address");
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon);
  }
  if (url.host.empty()) return wrong(text, "names no host");
  url.port = url.tls ? 443 : 80;
  if (port.empty()) return url;
  const char* const end = port.data() + port.size();
  const auto parsed = std::from_chars(port.data() + 1, end, url.port);
  if (port[0] != ':' || parsed.ec != std::errc() || parsed.ptr != end || url.port == 0)
    return wrong(text, "has a port that is not a number from 1 to 65535");
  return url;
}

std::string Url::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  std::string out(v6 ? 1 : 0, '[');
  out += host;
  if (v6) out += ']';
  const std::uint16_t usual = tls ? 443 : 80;
  if (port != usual) {
    out += ':';
    out += std::to_string(port);
  }
  return out;
}

}  // namespace drover::net
