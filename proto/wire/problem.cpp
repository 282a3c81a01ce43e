#include "proto/wire/problem.h"

#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::wire {
namespace {

constexpr std::size_t kMaxProblem = 64 * 1024;

Code code_from_status(int status) {
  switch (status) {
    case 401:
      return Code::unauthenticated;
    case 403:
      return Code::permission_denied;
    case 404:
      return Code::not_found;
    case 408:
    case 504:
      return Code::timeout;
    case 409:
      return Code::conflict;
    case 410:
      return Code::gone;
    case 412:
      return Code::precondition_failed;
    case 413:
      return Code::too_large;
    case 416:
      return Code::range_not_satisfiable;
    case 429:
      return Code::rate_limited;
    case 507:
      return Code::disk_full;
    default:
      return status >= 500 ? Code::unavailable : Code::invalid_argument;
  }
}

}  // namespace

std::string encode_problem(const Error& error) {
  const nlohmann::json body = {{"type", "about:blank"},
                               {"title", code_name(error.code())},
                               {"status", http_status(error.code())},
                               {"code", code_name(error.code())},
                               {"detail", error.message()}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Error decode_problem(int http_status, std::string_view body) {
  const auto document = json::parse(body, kMaxProblem);
  if (document && document->is_object() && document->contains("code") && (*document)["code"].is_string()) {
    const auto detail = document->find("detail");
    return Error(code_from_name((*document)["code"].get_ref<const std::string&>()),
                 detail != document->end() && detail->is_string() ? detail->get<std::string>() : "");
  }
  return Error(code_from_status(http_status), "the server answered HTTP " + std::to_string(http_status));
}

}  // namespace drover::wire
