#include "agent/store/codec.h"

#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::agent {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxDocument = 1024 * 1024;
constexpr std::size_t kMaxTargets = 64;

json object(const update::Target& target) {
  return {{"model", target.model},
          {"release", target.release},
          {"deployment", target.deployment},
          {"package", target.package},
          {"index", target.index},
          {"index_size", target.index_size},
          {"release_counter", target.release_counter},
          {"rollback", target.rollback}};
}

update::Target read_target(drover::json::Reader& in) {
  update::Target target;
  target.model = in.text_or("model", "", kMaxText);
  target.release = in.text_or("release", "", kMaxText);
  target.deployment = in.text_or("deployment", "", kMaxText);
  target.package = in.text_or("package", "", kMaxText);
  target.index = in.text_or("index", "", kMaxText);
  target.index_size = static_cast<std::uint64_t>(in.integer_or("index_size", 0, 0, INT64_MAX));
  target.release_counter = in.integer_or("release_counter", 0, 0, INT64_MAX);
  target.rollback = in.boolean_or("rollback", false);
  return target;
}

json object(const update::Held& held) {
  return {{"package", held.package},
          {"release", held.release},
          {"release_counter", held.release_counter},
          {"since", format_time(held.since)}};
}

update::Held read_held(drover::json::Reader& in) {
  update::Held held;
  held.package = in.text_or("package", "", kMaxText);
  held.release = in.text_or("release", "", kMaxText);
  held.release_counter = in.integer_or("release_counter", 0, 0, INT64_MAX);
  held.since = parse_time(in.text_or("since", "", kMaxText)).value_or(WallTime{});
  return held;
}

}  // namespace

std::string encode(const update::State& state) {
  const json out = {{"version", 1},
                    {"step", update::to_text(state.step)},
                    {"target", object(state.target)},
                    {"previous", state.previous},
                    {"attempts", state.attempts},
                    {"starts", state.starts},
                    {"refetches", state.refetches},
                    {"deadline", state.confirmation.deadline.count()},
                    {"healthy_reports", state.confirmation.healthy_reports},
                    {"max_restarts", state.confirmation.max_restarts},
                    {"trial_boot", state.trial_began.boot},
                    {"trial_began", state.trial_began.since_boot.count()},
                    {"code", code_name(state.code)},
                    {"detail", state.detail}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<update::State> decode_state(std::string_view text) {
  TRY_ASSIGN(const json document, drover::json::parse(text, kMaxDocument));
  drover::json::Reader in(document);
  in.allow_unknown();
  update::State state;
  const auto step = update::step_from_text(in.text("step", kMaxText));
  if (!step)
    in.fail("step", "is not a known step");
  else
    state.step = *step;
  in.object_or_none("target", [&](drover::json::Reader& inner) { state.target = read_target(inner); });
  state.previous = in.text_or("previous", "", kMaxText);
  state.attempts = static_cast<int>(in.integer_or("attempts", 0, 0, INT32_MAX));
  state.starts = static_cast<int>(in.integer_or("starts", 0, 0, INT32_MAX));
  state.refetches = static_cast<int>(in.integer_or("refetches", 0, 0, INT32_MAX));
  state.confirmation.deadline = std::chrono::seconds(in.integer_or("deadline", 60, 0, INT32_MAX));
  state.confirmation.healthy_reports = static_cast<int>(in.integer_or("healthy_reports", 3, 0, INT32_MAX));
  state.confirmation.max_restarts = static_cast<int>(in.integer_or("max_restarts", 2, 0, INT32_MAX));
  state.trial_began.boot = in.text_or("trial_boot", "", kMaxText);
  state.trial_began.since_boot = std::chrono::nanoseconds(in.integer_or("trial_began", 0, INT64_MIN, INT64_MAX));
  state.code = code_from_name(in.text_or("code", "ok", kMaxText));
  state.detail = in.text_or("detail", "", kMaxText);
  TRY(in.finish());
  return state;
}

std::string encode(const update::Slot& slot) {
  const json out = {{"version", 1},
                    {"model", slot.model},
                    {"current", object(slot.current)},
                    {"previous", object(slot.previous)},
                    {"floor", slot.floor},
                    {"last_deployment", slot.last_deployment}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<update::Slot> decode_slot(std::string_view text) {
  TRY_ASSIGN(const json document, drover::json::parse(text, kMaxDocument));
  drover::json::Reader in(document);
  in.allow_unknown();
  update::Slot slot;
  slot.model = in.text("model", kMaxText);
  in.object_or_none("current", [&](drover::json::Reader& inner) { slot.current = read_held(inner); });
  in.object_or_none("previous", [&](drover::json::Reader& inner) { slot.previous = read_held(inner); });
  slot.floor = in.integer_or("floor", 0, 0, INT64_MAX);
  slot.last_deployment = in.text_or("last_deployment", "", kMaxText);
  TRY(in.finish());
  return slot;
}

std::string encode(const std::vector<update::Target>& targets) {
  json list = json::array();
  for (const update::Target& target : targets) list.push_back(object(target));
  return json{{"version", 1}, {"targets", std::move(list)}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::vector<update::Target>> decode_targets(std::string_view text) {
  TRY_ASSIGN(const json document, drover::json::parse(text, kMaxDocument));
  drover::json::Reader in(document);
  in.allow_unknown();
  std::vector<update::Target> targets;
  in.array("targets", kMaxTargets, [&](drover::json::Reader& item) { targets.push_back(read_target(item)); });
  TRY(in.finish());
  return targets;
}

}  // namespace drover::agent
