#include "server/api/call.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace drover::api {
namespace {

Result<std::int64_t> whole_number(std::string_view name, std::string_view text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    return Error(Code::invalid_argument, std::string(name) + " must be a whole number between " + std::to_string(low) +
                                             " and " + std::to_string(high));
  return value;
}

}  // namespace

net::Response json_response(int status, const nlohmann::json& body) {
  return net::Response(status, kJson, body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string version_etag(std::int64_t version) {
  std::string etag = "\"";
  etag += std::to_string(version);
  etag += '"';
  return etag;
}

Status check_if_match(const net::Request& request, std::string_view etag) {
  const std::string_view wanted = request.header("If-Match");
  if (wanted.empty() || wanted == "*" || wanted == etag) return {};
  return Error(Code::precondition_failed, "it has changed since you looked; look again");
}

Result<Page> page_of(const net::Request& request) {
  Page page;
  if (const auto limit = request.query_param("limit")) {
    TRY_ASSIGN(const std::int64_t value, whole_number("limit", *limit, 1, static_cast<std::int64_t>(kPageMost)));
    page.limit = static_cast<std::size_t>(value);
  }
  if (const auto cursor = request.query_param("cursor")) {
    TRY_ASSIGN(page.after, whole_number("cursor", *cursor, 0, INT64_MAX));
  }
  return page;
}

net::Response list_response(nlohmann::json items, std::int64_t next) {
  nlohmann::json body = {{"items", std::move(items)}, {"next", nullptr}};
  if (next != 0) body["next"] = std::to_string(next);
  return json_response(200, body);
}

std::string random_id(std::string_view prefix, Rng& rng) {
  std::array<std::uint8_t, 8> bytes{};
  rng.fill(bytes);
  std::string id(prefix);
  id += to_hex(bytes);
  return id;
}

}  // namespace drover::api
