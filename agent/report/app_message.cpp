#include "agent/report/app_message.h"

#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "proto/wire/device.h"

namespace drover::agent {
namespace {

std::string line(const nlohmann::json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<AppMessage> parse_app_message(std::string_view text) {
  TRY_ASSIGN(const json::Value document, json::parse(text, kMaxAppLine));
  json::Reader in(document);
  in.allow_unknown();
  AppMessage message;
  const std::string type = in.text("type", wire::kMaxName);
  TRY(in.finish());
  if (type == "health")
    message.type = AppMessage::Type::health;
  else if (type == "metric")
    message.type = AppMessage::Type::metric;
  else if (type != "hello")
    return Error(Code::unsupported, "the agent does not know messages of type \"" + type + "\"");
  if (message.type == AppMessage::Type::metric) return message;
  message.model = in.text("model", wire::kMaxName);
  message.package = in.text_or("package", "", wire::kMaxName);
  if (message.type == AppMessage::Type::health) {
    if (!in.has("ok")) in.fail("ok", "is missing");
    message.ok = in.boolean_or("ok", false);
    message.detail = in.text_or("detail", "", kMaxAppLine);
  }
  TRY(in.finish());
  return message;
}

std::string welcome_line() { return line({{"type", "welcome"}}); }

std::string switch_line(const std::string& model, const std::string& package, const std::string& path) {
  return line({{"type", "switch"}, {"model", model}, {"package", package}, {"path", path}});
}

std::string error_line(const Error& error) {
  return line({{"type", "error"}, {"code", code_name(error.code())}, {"detail", error.message()}});
}

}  // namespace drover::agent
