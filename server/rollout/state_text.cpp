#include "server/rollout/state_text.h"

#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::rollout {
namespace {

constexpr int kVersion = 1;
constexpr std::size_t kMaxText = 64 * 1024;   // 32 stages of about 200 bytes, and the reason
constexpr std::int64_t kMax = INT64_MAX / 4;  // sums of a few never overflow

std::int64_t seconds_of(WallTime time) { return time.time_since_epoch().count(); }

nlohmann::json encode_stage(const StageCounters& stage) {
  return {{"members", stage.members},     {"offered", stage.offered}, {"in_flight", stage.in_flight},
          {"succeeded", stage.succeeded}, {"failed", stage.failed},   {"rolled_back", stage.rolled_back},
          {"aborted", stage.aborted},     {"silent", stage.silent},   {"opened_at", seconds_of(stage.opened_at)}};
}

StageCounters read_stage(json::Reader& in) {
  StageCounters stage;
  stage.members = in.integer("members", 0, kMax);
  stage.offered = in.integer("offered", 0, kMax);
  stage.in_flight = in.integer("in_flight", 0, kMax);
  stage.succeeded = in.integer("succeeded", 0, kMax);
  stage.failed = in.integer("failed", 0, kMax);
  stage.rolled_back = in.integer("rolled_back", 0, kMax);
  stage.aborted = in.integer("aborted", 0, kMax);
  stage.silent = in.integer("silent", 0, kMax);
  stage.opened_at = WallTime(std::chrono::seconds(in.integer("opened_at", -kMax, kMax)));
  const std::int64_t sum =
      stage.in_flight + stage.succeeded + stage.failed + stage.rolled_back + stage.aborted + stage.silent;
  if (sum != stage.offered) in.fail("offered", "is not the sum of the others");
  return stage;
}

std::string_view stage_state(const RolloutState& state, std::size_t stage) {
  const auto open = static_cast<std::size_t>(state.stage);
  if (stage < open) return "passed";
  if (stage > open) return "waiting";
  const Phase phase = state.phase == Phase::paused ? state.resume_to : state.phase;
  if (phase == Phase::completed) return "passed";
  if (phase == Phase::soaking || phase == Phase::awaiting_promotion) return "soaking";
  return phase == Phase::open ? "open" : "failed";
}

}  // namespace

std::string encode(const RolloutState& state) {
  nlohmann::json out = {{"v", kVersion},
                        {"phase", static_cast<int>(state.phase)},
                        {"resume_to", static_cast<int>(state.resume_to)},
                        {"stage", state.stage},
                        {"stage_opened", state.stage_opened},
                        {"watched", state.watched.count()},
                        {"soaked", state.soaked.count()},
                        {"last_input", seconds_of(state.last_input)},
                        {"rollback_began", state.rollback_began.count()},
                        {"returned", state.returned},
                        {"return_failed", state.return_failed},
                        {"nothing_before", state.nothing_before},
                        {"reason", state.reason},
                        {"version", state.version}};
  out["stages"] = nlohmann::json::array();
  for (const StageCounters& stage : state.stages) out["stages"].push_back(encode_stage(stage));
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<RolloutState> decode_state(std::string_view text) {
  TRY_ASSIGN(const json::Value document, json::parse(text, kMaxText));
  json::Reader in(document);
  if (in.integer("v", 1, INT32_MAX) > kVersion) return Error(Code::unsupported, "a rollout's state of a later version");
  RolloutState state;
  state.phase = static_cast<Phase>(in.integer("phase", 0, static_cast<int>(Phase::rolled_back)));
  state.resume_to = static_cast<Phase>(in.integer("resume_to", 0, static_cast<int>(Phase::awaiting_promotion)));
  state.stage = static_cast<std::int32_t>(in.integer("stage", 0, wire::kMaxStages - 1));
  state.stage_opened = in.boolean_or("stage_opened", false);
  state.watched = std::chrono::seconds(in.integer("watched", 0, kMax));
  state.soaked = std::chrono::seconds(in.integer("soaked", 0, kMax));
  state.last_input = WallTime(std::chrono::seconds(in.integer("last_input", -kMax, kMax)));
  state.rollback_began = std::chrono::seconds(in.integer("rollback_began", 0, kMax));
  state.returned = in.integer("returned", 0, kMax);
  state.return_failed = in.integer("return_failed", 0, kMax);
  state.nothing_before = in.integer("nothing_before", 0, kMax);
  state.reason = in.text("reason", kMaxText);
  state.version = in.integer("version", 0, kMax);
  in.array("stages", wire::kMaxStages, [&](json::Reader& item) { state.stages.push_back(read_stage(item)); });
  if (static_cast<std::size_t>(state.stage) >= state.stages.size()) in.fail("stage", "is not one of the stages");
  TRY(in.finish());
  return state;
}

void describe(const wire::RolloutSpec& spec, const RolloutState& state, wire::RolloutStatus& status) {
  status.spec = spec;
  status.state = public_state(state.phase);
  status.stage = state.stage;
  status.reason = state.reason;
  status.version = state.version;
  status.stages.clear();
  for (std::size_t i = 0; i < state.stages.size() && i < spec.stages.size(); ++i) {
    const StageCounters& c = state.stages[i];
    status.stages.push_back({spec.stages[i], std::string(stage_state(state, i)), c.opened_at, c.members, c.offered,
                             c.in_flight, c.succeeded, c.failed, c.rolled_back, c.aborted, c.silent});
  }
}

}  // namespace drover::rollout
