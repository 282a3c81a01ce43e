#include "proto/wire/deltas.h"

#include "proto/json/reader.h"

namespace drover::wire {
namespace {

constexpr std::size_t kMaxDigest = 71;  // "sha256:" and 64 digits
constexpr std::size_t kMaxWord = 32;
constexpr std::int64_t kMaxCodec = 1'000'000;

std::uint64_t size_in(json::Reader& in, std::string_view name) {
  return static_cast<std::uint64_t>(in.integer(name, 0, INT64_MAX));
}

std::int64_t count_in(json::Reader& in, std::string_view name) { return in.integer(name, 0, INT64_MAX); }

nlohmann::json encode_counts(const DeltaCounts& counts) {
  return {{"wanted", counts.wanted},           {"ready", counts.ready},
          {"useless", counts.useless},         {"failed", counts.failed},
          {"delta_bytes", counts.delta_bytes}, {"whole_bytes", counts.whole_bytes}};
}

void read_counts(json::Reader& in, DeltaCounts& counts) {
  counts.wanted = count_in(in, "wanted");
  counts.ready = count_in(in, "ready");
  counts.useless = count_in(in, "useless");
  counts.failed = count_in(in, "failed");
  counts.delta_bytes = size_in(in, "delta_bytes");
  counts.whole_bytes = size_in(in, "whole_bytes");
}

}  // namespace

nlohmann::json encode(const DeltaPlan& plan) {
  nlohmann::json steps = nlohmann::json::array();
  for (const DeltaStep& step : plan.steps)
    steps.push_back({{"base", step.base},
                     {"target", step.target},
                     {"codec", step.codec},
                     {"bytes", step.bytes},
                     {"target_bytes", step.target_bytes}});
  return {{"steps", std::move(steps)}};
}

nlohmann::json encode(const DeltaProgress& progress) {
  nlohmann::json out = encode_counts(progress);
  out["state"] = progress.state;
  out["bytes_done"] = progress.bytes_done;
  out["bytes_total"] = progress.bytes_total;
  out["packed"] = encode_counts(progress.packed);
  return out;
}

nlohmann::json encode(const Savings& savings) {
  return {{"updates", savings.updates},
          {"by_delta", savings.by_delta},
          {"delta_hit_rate", savings.delta_hit_rate()},
          {"bytes_fetched", savings.bytes_fetched},
          {"bytes_saved", savings.bytes_saved}};
}

Result<DeltaPlan> decode_delta_plan(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxDeltaPlan));
  json::Reader in(document);
  in.allow_unknown();
  DeltaPlan plan;
  in.array("steps", kMaxDeltaSteps, [&plan](json::Reader& item) {
    item.allow_unknown();
    DeltaStep step;
    step.base = item.text("base", kMaxDigest);
    step.target = item.text("target", kMaxDigest);
    step.codec = item.integer("codec", 1, kMaxCodec);
    step.bytes = size_in(item, "bytes");
    step.target_bytes = size_in(item, "target_bytes");
    plan.steps.push_back(std::move(step));
  });
  TRY(in.finish());
  return plan;
}

Result<DeltaProgress> decode_delta_progress(const nlohmann::json& value) {
  json::Reader in(value);
  in.allow_unknown();
  DeltaProgress progress;
  progress.state = in.text("state", kMaxWord);
  read_counts(in, progress);
  progress.bytes_done = size_in(in, "bytes_done");
  progress.bytes_total = size_in(in, "bytes_total");
  in.object_or_none("packed", [&progress](json::Reader& packed) {
    packed.allow_unknown();
    read_counts(packed, progress.packed);
  });
  TRY(in.finish());
  return progress;
}

Result<Savings> decode_savings(const nlohmann::json& value) {
  json::Reader in(value);
  in.allow_unknown();
  Savings savings;
  savings.updates = count_in(in, "updates");
  savings.by_delta = count_in(in, "by_delta");
  savings.bytes_fetched = size_in(in, "bytes_fetched");
  savings.bytes_saved = size_in(in, "bytes_saved");
  TRY(in.finish());
  return savings;
}

}  // namespace drover::wire
