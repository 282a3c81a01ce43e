#include "server/cli/stage_spec.h"

#include <fmt/format.h>

#include <set>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

constexpr std::int64_t kMaxDevices = 1'000'000'000;

Status read_size(std::string_view part, wire::StageSpec& stage) {
  if (part.ends_with('%')) {
    TRY_ASSIGN(stage.percent, parse_percent(part));
    if (stage.percent <= 0) return Error(Code::invalid_argument, "a stage takes more than 0% of the group");
    return {};
  }
  auto count = parse_count(part, 1, kMaxDevices);
  if (!count)
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\": a stage begins with its size, a share (25%) or a number of devices (10)",
                             printable(part)));
  stage.count = *count;
  return {};
}

Status read_setting(std::string_view name, std::string_view value, wire::StageSpec& stage) {
  if (name == "soak") {
    TRY_ASSIGN(stage.soak, parse_span(value));
  } else if (name == "deadline") {
    TRY_ASSIGN(stage.deadline, parse_span(value));
    if (stage.deadline.count() == 0) return Error(Code::invalid_argument, "a deadline is at least 1s");
  } else if (name == "max-in-flight") {
    TRY_ASSIGN(stage.max_in_flight, parse_count(value, 1, kMaxDevices));
  } else if (name == "failures") {
    TRY_ASSIGN(stage.failure_threshold_percent, parse_percent(value));
  } else if (name == "success") {
    TRY_ASSIGN(stage.success_percent, parse_percent(value));
  } else if (name == "min") {
    TRY_ASSIGN(stage.min_sample, parse_count(value, 1, kMaxDevices));
  } else {
    return Error(
        Code::invalid_argument,
        fmt::format("\"{}\" is no setting of a stage; there are soak, deadline, max-in-flight, failures, success, "
                    "min and auto",
                    printable(name)));
  }
  return {};
}

Status read_part(std::string_view part, wire::StageSpec& stage, std::set<std::string, std::less<>>& seen) {
  const std::size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals);
  if (!seen.emplace(name).second) return Error(Code::invalid_argument, fmt::format("{} stands twice", printable(name)));
  if (name == "auto" && equals == std::string_view::npos) {
    stage.automatic = true;
    return {};
  }
  const std::string_view value = equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
  return read_setting(name, value, stage).within(printable(name));
}

}  // namespace

Result<wire::StageSpec> parse_stage(std::string_view text) {
  wire::StageSpec stage;
  std::set<std::string, std::less<>> seen;
  for (bool first = true;; first = false) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    TRY(first ? read_size(part, stage) : read_part(part, stage, seen));
    if (comma == std::string_view::npos) return stage;
    text.remove_prefix(comma + 1);
  }
}

std::string describe_stage(const wire::StageSpec& stage) {
  const wire::StageSpec standard;
  std::string out = stage.count > 0 ? counted(stage.count, "device") : fmt::format("{:g}%", stage.percent);
  if (stage.soak.count() > 0) out += ", soak " + human_span(stage.soak);
  if (stage.max_in_flight > 0) out += fmt::format(", {} in flight", stage.max_in_flight);
  if (stage.failure_threshold_percent != standard.failure_threshold_percent)
    out += fmt::format(", halts above {:g}% failures", stage.failure_threshold_percent);
  if (stage.min_sample != standard.min_sample) out += fmt::format(", at least {}", stage.min_sample);
  if (stage.success_percent != standard.success_percent)
    out += fmt::format(", {:g}% must succeed", stage.success_percent);
  if (stage.deadline != standard.deadline) out += ", deadline " + human_span(stage.deadline);
  out += stage.automatic ? ", promotes by itself" : ", promoted by a person";
  return out;
}

}  // namespace drover::cli
