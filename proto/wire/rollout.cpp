#include "proto/wire/rollout.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "proto/wire/device.h"

namespace drover::wire {
namespace {

constexpr std::array<std::string_view, 8> kStates = {"running", "awaiting_promotion", "paused",       "halted",
                                                     "aborted", "completed",          "rolling_back", "rolled_back"};
constexpr std::int64_t kMaxSeconds = 365 * 24 * 3600;  // a soak or deadline of more than a year is a typing error
constexpr std::int64_t kMaxDevices = 1'000'000'000;

nlohmann::json encode_stage(const StageSpec& stage) {
  nlohmann::json out = {{"max_in_flight", stage.max_in_flight},
                        {"soak_seconds", stage.soak.count()},
                        {"deadline_seconds", stage.deadline.count()},
                        {"failure_threshold_percent", stage.failure_threshold_percent},
                        {"min_sample", stage.min_sample},
                        {"success_percent", stage.success_percent},
                        {"automatic", stage.automatic}};
  if (stage.count > 0)
    out["count"] = stage.count;
  else
    out["percent"] = stage.percent;
  return out;
}

StageSpec read_stage(json::Reader& in) {
  StageSpec stage;
  const bool percent = in.has("percent"), count = in.has("count");
  stage.percent = in.number_or("percent", 0, 0, 100);
  stage.count = in.integer_or("count", 0, 0, kMaxDevices);
  if (percent == count)
    in.fail("percent", "give either percent or count");
  else if (percent && stage.percent <= 0)
    in.fail("percent", "must be above 0");
  else if (count && stage.count <= 0)
    in.fail("count", "must be above 0");
  stage.max_in_flight = in.integer_or("max_in_flight", stage.max_in_flight, 0, kMaxDevices);
  stage.soak = std::chrono::seconds(in.integer_or("soak_seconds", stage.soak.count(), 0, kMaxSeconds));
  stage.deadline = std::chrono::seconds(in.integer_or("deadline_seconds", stage.deadline.count(), 1, kMaxSeconds));
  stage.failure_threshold_percent = in.number_or("failure_threshold_percent", stage.failure_threshold_percent, 0, 100);
  stage.min_sample = in.integer_or("min_sample", stage.min_sample, 1, kMaxDevices);
  stage.success_percent = in.number_or("success_percent", stage.success_percent, 0, 100);
  stage.automatic = in.boolean_or("automatic", stage.automatic);
  return stage;
}

bool grows(const StageSpec& before, const StageSpec& after) {
  if (before.percent > 0 && after.percent > 0) return after.percent > before.percent;
  if (before.count > 0 && after.count > 0) return after.count > before.count;
  return true;  // a count beside a percent: compared when the stage opens, where the smaller one is a no-op
}

void read_spec(json::Reader& in, RolloutSpec& spec) {
  spec.name = in.text("name", kMaxName);
  spec.model = in.text("model", kMaxName);
  spec.release = in.text("release", kMaxName);
  spec.group = in.text("group", kMaxName);
  if (spec.name.empty()) in.fail("name", "must not be empty");
}

void check_stages(json::Reader& in, const std::vector<StageSpec>& stages) {
  if (stages.empty()) in.fail("stages", "must hold at least one stage");
  for (std::size_t i = 1; i < stages.size(); ++i)
    if (!grows(stages[i - 1], stages[i])) in.fail("stages", "must grow: each stage contains the one before it");
}

nlohmann::json encode_spec_head(const RolloutSpec& spec) {
  return {{"name", spec.name}, {"model", spec.model}, {"release", spec.release}, {"group", spec.group}};
}

StageStatus read_stage_status(json::Reader& in) {
  StageStatus stage;
  stage.spec = read_stage(in);
  stage.state = in.text("state", kMaxName);
  if (in.has("opened_at")) {
    auto opened = parse_time(in.text("opened_at", 20));
    if (!opened)
      in.fail("opened_at", "must be a time");
    else
      stage.opened_at = *opened;
  }
  stage.members = in.integer_or("members", 0, 0, kMaxDevices);
  stage.offered = in.integer_or("offered", 0, 0, kMaxDevices);
  stage.in_flight = in.integer_or("in_flight", 0, 0, kMaxDevices);
  stage.succeeded = in.integer_or("succeeded", 0, 0, kMaxDevices);
  stage.failed = in.integer_or("failed", 0, 0, kMaxDevices);
  stage.rolled_back = in.integer_or("rolled_back", 0, 0, kMaxDevices);
  stage.aborted = in.integer_or("aborted", 0, 0, kMaxDevices);
  stage.silent = in.integer_or("silent", 0, 0, kMaxDevices);
  return stage;
}

}  // namespace

std::string_view to_text(RolloutState state) { return kStates[static_cast<std::size_t>(state)]; }

Result<RolloutState> rollout_state_from_text(std::string_view text) {
  const auto at = std::find(kStates.begin(), kStates.end(), text);
  if (at == kStates.end()) return Error(Code::malformed, "unknown rollout state: " + std::string(text));
  return static_cast<RolloutState>(at - kStates.begin());
}

nlohmann::json encode(const RolloutSpec& spec) {
  nlohmann::json out = encode_spec_head(spec);
  out["stages"] = nlohmann::json::array();
  for (const StageSpec& stage : spec.stages) out["stages"].push_back(encode_stage(stage));
  return out;
}

nlohmann::json encode(const RolloutStatus& status) {
  nlohmann::json out = encode_spec_head(status.spec);
  out["id"] = status.id;
  out["state"] = to_text(status.state);
  out["stage"] = status.stage;
  out["reason"] = status.reason;
  out["created_by"] = status.created_by;
  out["created_at"] = format_time(status.created_at);
  out["version"] = status.version;
  out["stages"] = nlohmann::json::array();
  for (const StageStatus& stage : status.stages) {
    nlohmann::json item = encode_stage(stage.spec);
    item["state"] = stage.state;
    if (stage.opened_at != WallTime{}) item["opened_at"] = format_time(stage.opened_at);
    item["members"] = stage.members;
    item["offered"] = stage.offered;
    item["in_flight"] = stage.in_flight;
    item["succeeded"] = stage.succeeded;
    item["failed"] = stage.failed;
    item["rolled_back"] = stage.rolled_back;
    item["aborted"] = stage.aborted;
    item["silent"] = stage.silent;
    out["stages"].push_back(std::move(item));
  }
  return out;
}

Result<RolloutSpec> decode_rollout_spec(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxRolloutBody));
  json::Reader in(document);
  RolloutSpec spec;
  read_spec(in, spec);
  in.array("stages", kMaxStages, [&](json::Reader& item) { spec.stages.push_back(read_stage(item)); });
  check_stages(in, spec.stages);
  TRY(in.finish());
  return spec;
}

Result<RolloutStatus> decode_rollout_status(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxRolloutBody));
  json::Reader in(document);
  in.allow_unknown();
  RolloutStatus status;
  status.id = in.text("id", kMaxName);
  read_spec(in, status.spec);
  auto state = rollout_state_from_text(in.text("state", kMaxName));
  if (!state)
    in.fail("state", "is not a known state");
  else
    status.state = *state;
  status.stage = in.integer("stage", 0, kMaxStages);
  status.reason = in.text_or("reason", "", kMaxDetail);
  status.created_by = in.text_or("created_by", "", kMaxName);
  auto created = parse_time(in.text("created_at", 20));
  if (!created)
    in.fail("created_at", "must be a time");
  else
    status.created_at = *created;
  status.version = in.integer("version", 0, INT64_MAX);
  in.array("stages", kMaxStages, [&](json::Reader& item) {
    status.stages.push_back(read_stage_status(item));
    status.spec.stages.push_back(status.stages.back().spec);
  });
  TRY(in.finish());
  return status;
}

}  // namespace drover::wire
