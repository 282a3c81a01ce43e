#include "common/package/policy.h"

#include <cmath>
#include <cstdlib>

#include "common/package/path_rules.h"
#include "proto/json/reader.h"

namespace drover::package {
namespace {

constexpr std::int64_t kMaxSamples = 1'000'000;
constexpr std::int64_t kMaxDimension = 1 << 20;
constexpr std::size_t kMaxRank = 8;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;  // of one sample: 1 GiB of float32
constexpr std::int64_t kMaxBudgetMicros = 600'000'000;        // ten minutes for one inference
constexpr std::int64_t kMaxRuns = 10'000;
constexpr std::int64_t kMaxMemory = std::int64_t{1} << 40;
constexpr std::int64_t kMaxValidationSeconds = 3600;
constexpr std::int64_t kMaxConfirmationSeconds = 86'400;
constexpr double kMaxTolerance = 1e6;
constexpr double kMaxRatio = 1000.0;

std::string read_path(json::Reader& in, std::string_view name) {
  std::string path = in.text(name, kMaxPath);
  if (!path.empty())
    if (Status status = check_package_path(path); !status) in.fail(name, status.error().message());
  if (path.empty()) in.fail(name, "is empty");
  return path;
}

std::vector<std::int64_t> read_shape(json::Reader& in, std::string_view name) {
  const json::Value& value = in.raw(name);
  std::vector<std::int64_t> shape;
  if (!value.is_array() || value.empty() || value.size() > kMaxRank) {
    in.fail(name, "must be a list of 1 to 8 whole numbers");
    return shape;
  }
  std::int64_t elements = 1;
  for (const json::Value& item : value) {
    const std::int64_t size =
        item.is_number_unsigned() && item.get<std::uint64_t>() <= kMaxDimension ? item.get<std::int64_t>() : 0;
    if (size < 1) {
      in.fail(name, "must hold whole numbers between 1 and 1048576");
      return {};
    }
    elements *= size;
    if (elements > kMaxElements) {
      in.fail(name, "makes a sample of more than 1 GiB");
      return {};
    }
    shape.push_back(size);
  }
  return shape;
}

GoldenPolicy read_golden(json::Reader& in) {
  GoldenPolicy golden;
  golden.inputs = read_path(in, "inputs");
  golden.outputs = read_path(in, "outputs");
  golden.samples = in.integer("samples", 1, kMaxSamples);
  golden.input_shape = read_shape(in, "input_shape");
  golden.output_shape = read_shape(in, "output_shape");
  golden.atol = in.number_or("atol", golden.atol, 0.0, kMaxTolerance);
  golden.min_agreement = in.number_or("min_agreement", golden.min_agreement, 0.0, 1.0);
  if (in.has("labels")) golden.labels = read_path(in, "labels");
  golden.min_accuracy = in.number_or("min_accuracy", golden.min_accuracy, 0.0, 1.0);
  if (golden.labels.empty() && in.has("min_accuracy")) in.fail("min_accuracy", "needs \"labels\"");
  (void)in.text_or("labels", "", kMaxPath);  // known, also when absent
  return golden;
}

LatencyPolicy read_latency(json::Reader& in) {
  LatencyPolicy latency;
  latency.budget = std::chrono::microseconds(in.integer("budget_us", 1, kMaxBudgetMicros));
  latency.max_ratio_to_incumbent =
      in.number_or("max_ratio_to_incumbent", latency.max_ratio_to_incumbent, 0.01, kMaxRatio);
  latency.runs = in.integer_or("runs", latency.runs, 1, kMaxRuns);
  return latency;
}

void read_validation(json::Reader& in, ValidationPolicy& validation) {
  in.object_or_none("golden", [&](json::Reader& golden) { validation.golden = read_golden(golden); });
  in.object_or_none("latency", [&](json::Reader& latency) { validation.latency = read_latency(latency); });
  in.object_or_none("memory", [&](json::Reader& memory) {
    validation.memory = MemoryPolicy{static_cast<std::uint64_t>(memory.integer("budget_bytes", 1, kMaxMemory))};
  });
  validation.timeout =
      std::chrono::seconds(in.integer_or("timeout_seconds", validation.timeout.count(), 1, kMaxValidationSeconds));
}

void read_confirmation(json::Reader& in, ConfirmationPolicy& confirmation) {
  confirmation.deadline = std::chrono::seconds(
      in.integer_or("deadline_seconds", confirmation.deadline.count(), 1, kMaxConfirmationSeconds));
  confirmation.healthy_reports = in.integer_or("healthy_reports", confirmation.healthy_reports, 1, 10'000);
  confirmation.max_restarts = in.integer_or("max_restarts", confirmation.max_restarts, 0, 1000);
}

PlainPlace read_place(json::Reader& in) {
  const std::string place = in.text_or("plain", "tmpfs", 16);
  if (place != "tmpfs" && place != "memfd") in.fail("plain", "must be \"tmpfs\" or \"memfd\"");
  return place == "memfd" ? PlainPlace::memfd : PlainPlace::tmpfs;
}

json::Value golden_json(const GoldenPolicy& golden) {
  json::Value json = {{"inputs", golden.inputs},
                      {"outputs", golden.outputs},
                      {"samples", golden.samples},
                      {"input_shape", golden.input_shape},
                      {"output_shape", golden.output_shape},
                      {"atol", golden.atol},
                      {"min_agreement", golden.min_agreement}};
  if (!golden.labels.empty()) {
    json["labels"] = golden.labels;
    json["min_accuracy"] = golden.min_accuracy;
  }
  return json;
}

json::Value validation_json(const ValidationPolicy& validation) {
  json::Value json = {{"timeout_seconds", validation.timeout.count()}};
  if (validation.golden) json["golden"] = golden_json(*validation.golden);
  if (validation.latency)
    json["latency"] = {{"budget_us", validation.latency->budget.count()},
                       {"max_ratio_to_incumbent", validation.latency->max_ratio_to_incumbent},
                       {"runs", validation.latency->runs}};
  if (validation.memory) json["memory"] = {{"budget_bytes", validation.memory->budget_bytes}};
  return json;
}

}  // namespace

Result<PackagePolicy> parse_policy(ByteView bytes) {
  TRY_ASSIGN(json::Value document, json::parse(as_text(bytes), kMaxPolicyBytes));
  json::Reader in(document);
  const auto version = in.integer("version", 1, INT32_MAX);
  // Told before unknown fields are: a newer policy has some.
  if (in.has("version") && version != 1)
    return Error(Code::unsupported,
                 "a package policy of version " + std::to_string(version) + " where 1 is understood");
  PackagePolicy policy;
  in.object("model", [&](json::Reader& model) {
    policy.model_file = read_path(model, "file");
    policy.runtime = model.text("runtime", 64);
    if (policy.runtime.empty()) model.fail("runtime", "is empty");
  });
  in.object_or_none("validation", [&](json::Reader& validation) { read_validation(validation, policy.validation); });
  in.object_or_none("confirmation",
                    [&](json::Reader& confirmation) { read_confirmation(confirmation, policy.confirmation); });
  in.object_or_none("confidential", [&](json::Reader& place) { policy.confidential = read_place(place); });
  TRY(in.finish());
  return policy;
}

std::string print_policy(const PackagePolicy& policy) {
  json::Value json = {{"version", 1},
                            {"model", {{"file", policy.model_file}, {"runtime", policy.runtime}}},
                            {"validation", validation_json(policy.validation)},
                            {"confirmation",
                             {{"deadline_seconds", policy.confirmation.deadline.count()},
                              {"healthy_reports", policy.confirmation.healthy_reports},
                              {"max_restarts", policy.confirmation.max_restarts}}}};
  if (policy.confidential)
    json["confidential"] = {{"plain", *policy.confidential == PlainPlace::memfd ? "memfd" : "tmpfs"}};
  return json.dump(2, ' ', false, json::Value::error_handler_t::replace) + "\n";
}

}  // namespace drover::package
