#include "server/cli/api.h"

#include <fmt/format.h>

#include "common/crypto/secret.h"
#include "common/net/http_client.h"
#include "proto/json/reader.h"
#include "proto/wire/problem.h"
#include "server/cli/human.h"

namespace drover::cli {
namespace {

constexpr std::string_view kPrefix = "/api/v1";
constexpr std::size_t kMaxAnswer = 16u << 20;  // a page of a thousand devices with their attributes fits
constexpr std::size_t kPageSize = 500;
constexpr int kMaxPages = 10'000;
constexpr std::chrono::seconds kRequestDeadline{60};

const Json kNothing = Json::array();
const Json kNull;

Error with_hint(Error error) {
  const std::string& text = error.message();
  switch (error.code()) {
    case Code::unauthenticated:
      return Error(error.code(), fmt::format("{}; log in again: drover login URL --token-file FILE",
                                             text.empty() ? "the token is not valid" : text));
    case Code::permission_denied:
      return Error(error.code(), fmt::format("{}; `drover whoami` shows what your token may do",
                                             text.empty() ? "your token lacks the right" : text));
    default:
      return error;
  }
}

Error answered(const net::ClientResponse& response) {
  Error error = wire::decode_problem(response.status, response.body);
  return with_hint(Error(error.code(), printable(error.message().empty() ? code_name(error.code()) : error.message())));
}

Error unreachable(Error error, const Profile& profile) {
  const std::string where = "cannot reach " + profile.url;
  if (error.code() == Code::unauthenticated)  // of the certificate, not of the person
    return Error(
        Code::unavailable,
        fmt::format("{}: its certificate is not trusted ({}); give the right authority: drover login URL --ca FILE",
                    where, printable(error.message())));
  if (error.code() == Code::unavailable || error.code() == Code::timeout)
    return Error(error.code(), fmt::format("{}: {}", where, printable(error.message())));
  return std::move(error).within(where);
}

net::ClientRequest request(net::Method method, std::string_view path) {
  net::ClientRequest out;
  out.method = method;
  out.target = std::string(kPrefix) + std::string(path);
  out.deadline = kRequestDeadline;
  out.max_body = kMaxAnswer;
  return out;
}

}  // namespace

Api::Api(std::unique_ptr<net::BlockingHttpClient> client, Context& context, Profile profile)
    : client_(std::move(client)), context_(&context), profile_(std::move(profile)) {}
Api::~Api() = default;
Api::Api(Api&&) noexcept = default;

Result<net::ClientResponse> Api::send(net::ClientRequest request) {
  if (!profile_.token.empty()) request.headers.add("Authorization", "Bearer " + profile_.token);
  auto response = client_->send(std::move(request));
  if (!response) return unreachable(std::move(response).error(), profile_);
  return response;
}

Result<Json> Api::exchange(net::ClientRequest request) {
  request.headers.add("Accept", "application/json");
  TRY_ASSIGN(const net::ClientResponse response, send(std::move(request)));
  if (!response.ok()) return answered(response);
  if (response.body.empty()) return Json(nullptr);
  return json::parse(response.body, kMaxAnswer).within("reading the server's answer");
}

Result<Json> Api::with_body(int method, std::string_view path, std::string body) {
  net::ClientRequest out = request(static_cast<net::Method>(method), path);
  out.headers.add("Content-Type", "application/json");
  if (out.method == net::Method::post) {
    out.headers.add("Idempotency-Key", crypto::random_token("", context_->rng));
    out.repeatable = true;
  }
  out.body = std::move(body);
  return exchange(std::move(out));
}

Result<Json> Api::get(std::string_view path) { return exchange(request(net::Method::get, path)); }
Result<Json> Api::post(std::string_view path, const Json& body) {
  return with_body(static_cast<int>(net::Method::post), path, body.dump());
}
Result<Json> Api::put(std::string_view path, const Json& body) {
  return with_body(static_cast<int>(net::Method::put), path, body.dump());
}
Result<Json> Api::patch(std::string_view path, const Json& body) {
  return with_body(static_cast<int>(net::Method::patch), path, body.dump());
}
Status Api::remove(std::string_view path) {
  TRY(exchange(request(net::Method::del, path)));
  return {};
}
Result<Json> Api::post_raw(std::string_view path, std::string_view body) {
  return with_body(static_cast<int>(net::Method::post), path, std::string(body));
}

Result<Json> Api::list(std::string_view path, std::size_t limit) {
  Json all = {{"items", Json::array()}, {"next", nullptr}};
  std::string cursor;
  const char joint = path.find('?') == std::string_view::npos ? '?' : '&';
  for (int page = 0; page < kMaxPages; ++page) {
    const std::size_t wanted = std::min(kPageSize, limit - all["items"].size());
    std::string target = fmt::format("{}{}limit={}", path, joint, wanted);
    if (!cursor.empty()) target += "&cursor=" + part(cursor);
    TRY_ASSIGN(const Json answer, get(target));
    for (const Json& item : items_of(answer)) all["items"].push_back(item);
    cursor = text_of(answer, "next");
    if (cursor.empty()) return all;
    if (all["items"].size() >= limit || items_of(answer).empty()) break;
  }
  all["next"] = cursor;
  return all;
}

Result<std::optional<Api::Watched>> Api::watch(std::string_view path, std::string_view etag,
                                               std::chrono::seconds wait) {
  constexpr int kNotModified = 304;
  std::string target(path);
  if (!etag.empty())
    target += fmt::format("{}wait={}", target.find('?') == std::string::npos ? "?" : "&", wait.count());
  net::ClientRequest out = request(net::Method::get, target);
  out.deadline += wait;
  if (!etag.empty()) out.headers.add("If-None-Match", etag);
  TRY_ASSIGN(const net::ClientResponse response, send(std::move(out)));
  if (response.status == kNotModified) return std::optional<Watched>();
  if (!response.ok()) return answered(response);
  TRY_ASSIGN(Json document, json::parse(response.body, kMaxAnswer).within("reading the server's answer"));
  return std::optional(Watched{std::move(document), std::string(response.header("ETag"))});
}

Result<std::string> Api::metadata(std::string_view file, std::uint64_t limit) {
  net::ClientRequest out = request(net::Method::get, "/metadata/" + std::string(file));
  out.max_body = static_cast<std::size_t>(limit);
  TRY_ASSIGN(net::ClientResponse response, send(std::move(out)));
  if (!response.ok()) return answered(response).within(file);
  return std::move(response.body);
}

Result<Api> connect(Context& context) {
  TRY_ASSIGN(Profile profile, load_profile(context));
  return connect(context, std::move(profile));
}

Result<Api> connect(Context& context, Profile profile) {
  net::ClientOptions options;
  options.base_url = profile.url;
  options.tls.authority = profile.ca_file;
  options.user_agent = "drover-cli";
  TRY_ASSIGN(auto client, net::BlockingHttpClient::create(std::move(options)).within(profile.url));
  return Api(std::move(client), context, std::move(profile));
}

std::string part(std::string_view text) { return net::percent_encode(text); }

std::string query(const std::vector<std::pair<std::string_view, std::string>>& pairs) {
  std::string out;
  for (const auto& [name, value] : pairs)
    if (!value.empty()) out += fmt::format("{}{}={}", out.empty() ? '?' : '&', name, part(value));
  return out;
}

const Json& member_of(const Json& object, std::string_view name) {
  if (!object.is_object()) return kNull;
  const auto at = object.find(name);
  return at == object.end() ? kNull : *at;
}

std::string text_of(const Json& object, std::string_view name) {
  const Json& value = member_of(object, name);
  return value.is_string() ? value.get<std::string>() : "";
}

std::int64_t number_of(const Json& object, std::string_view name) {
  const Json& value = member_of(object, name);
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

bool flag_of(const Json& object, std::string_view name) {
  const Json& value = member_of(object, name);
  return value.is_boolean() && value.get<bool>();
}

const Json& items_of(const Json& object, std::string_view name) {
  const Json& value = member_of(object, name);
  return value.is_array() ? value : kNothing;
}

}  // namespace drover::cli
