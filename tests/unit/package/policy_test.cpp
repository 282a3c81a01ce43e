#include "common/package/policy.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace drover::package {
namespace {

using Json = nlohmann::json;

const Json kGood = Json::parse(R"({"version":1,"model":{"file":"model.onnx","runtime":"onnx"},
 "validation":{"golden":{"inputs":"golden/inputs.f32","outputs":"golden/outputs.f32","samples":32,"input_shape":[1,16,16],"output_shape":[10],
                         "atol":0.02,"min_agreement":0.95,"labels":"golden/labels.u8","min_accuracy":0.9},
               "latency":{"budget_us":50000,"max_ratio_to_incumbent":3.0,"runs":50},"memory":{"budget_bytes":268435456},"timeout_seconds":60},
 "confirmation":{"deadline_seconds":20,"healthy_reports":3,"max_restarts":2}})");

Result<PackagePolicy> parse(const Json& json) {
  const std::string text = json.dump();
  return parse_policy(as_bytes(text));
}
Code error_of(const Json& json) {
  const auto parsed = parse(json);
  return parsed ? Code::ok : parsed.error().code();
}

TEST(PackagePolicy, IsReadWhole) {
  const auto policy = parse(kGood);
  ASSERT_TRUE(policy) << policy.error().message();
  EXPECT_EQ(policy->model_file, "model.onnx");
  ASSERT_TRUE(policy->validation.golden);
  EXPECT_EQ(policy->validation.golden->input_shape, (std::vector<std::int64_t>{1, 16, 16}));
  EXPECT_DOUBLE_EQ(policy->validation.golden->atol, 0.02);
  EXPECT_DOUBLE_EQ(policy->validation.golden->min_accuracy, 0.9);
  EXPECT_EQ(policy->validation.latency->budget, std::chrono::milliseconds(50));
  EXPECT_EQ(policy->validation.memory->budget_bytes, 268435456u);
  EXPECT_EQ(policy->confirmation.deadline, std::chrono::seconds(20));
  EXPECT_EQ(policy->confirmation.max_restarts, 2);
}

TEST(PackagePolicy, IsWrittenAsItIsRead) {
  const std::string text = print_policy(*parse(kGood));
  const auto again = parse_policy(as_bytes(text));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(print_policy(*again), text);
  EXPECT_EQ(Json::parse(text), kGood);
}

TEST(PackagePolicy, NeedsTheModelOnly) {
  const auto policy = parse({{"version", 1}, {"model", {{"file", "m.onnx"}, {"runtime", "onnx"}}}});
  ASSERT_TRUE(policy) << policy.error().message();
  EXPECT_FALSE(policy->validation.golden);
  EXPECT_FALSE(policy->validation.latency);
  EXPECT_EQ(policy->validation.timeout, std::chrono::seconds(60));
  EXPECT_EQ(policy->confirmation.healthy_reports, 3);
}

TEST(PackagePolicy, OfANewerVersionIsNamedAsThat) {
  Json json = kGood;
  json["version"] = 2;
  json["surprise"] = 1;
  EXPECT_EQ(error_of(json), Code::unsupported);
}

TEST(PackagePolicy, WithAnUnknownFieldIsRefusedWithItsPlace) {
  for (const char* pointer :
       {"/surprise", "/model/surprise", "/validation/surprise", "/validation/golden/surprise",
        "/validation/latency/surprise", "/validation/memory/surprise", "/confirmation/surprise"}) {
    Json json = kGood;
    json[Json::json_pointer(pointer)] = 1;
    const auto parsed = parse(json);
    ASSERT_FALSE(parsed) << pointer;
    EXPECT_EQ(parsed.error().code(), Code::malformed);
    EXPECT_NE(parsed.error().message().find(pointer), std::string::npos) << parsed.error().message();
  }
}

TEST(PackagePolicy, WithAValueOutOfBoundsIsRefused) {
  const std::pair<const char*, Json> faults[] = {{"/version", 0},
                                                 {"/version", "1"},
                                                 {"/model/file", "../m.onnx"},
                                                 {"/model/file", "/m.onnx"},
                                                 {"/model/file", ""},
                                                 {"/model/runtime", ""},
                                                 {"/model/runtime", 1},
                                                 {"/validation/golden/inputs", "a/../b"},
                                                 {"/validation/golden/samples", 0},
                                                 {"/validation/golden/samples", 1.5},
                                                 {"/validation/golden/samples", 1'000'001},
                                                 {"/validation/golden/input_shape", Json::array()},
                                                 {"/validation/golden/input_shape", {0}},
                                                 {"/validation/golden/input_shape", {-1}},
                                                 {"/validation/golden/input_shape", {1048577}},
                                                 {"/validation/golden/input_shape", {1.0}},
                                                 {"/validation/golden/input_shape", {1048576, 1048576}},
                                                 {"/validation/golden/input_shape", "1"},
                                                 {"/validation/golden/input_shape", {1, 1, 1, 1, 1, 1, 1, 1, 1}},
                                                 {"/validation/golden/atol", -0.1},
                                                 {"/validation/golden/min_agreement", 1.1},
                                                 {"/validation/golden/min_accuracy", -1},
                                                 {"/validation/latency/budget_us", 0},
                                                 {"/validation/latency/runs", 0},
                                                 {"/validation/latency/max_ratio_to_incumbent", 0},
                                                 {"/validation/memory/budget_bytes", 0},
                                                 {"/validation/timeout_seconds", 0},
                                                 {"/validation/timeout_seconds", 3601},
                                                 {"/confirmation/deadline_seconds", 0},
                                                 {"/confirmation/healthy_reports", 0},
                                                 {"/confirmation/max_restarts", -1},
                                                 {"/validation", 1},
                                                 {"/confirmation", Json::array()}};
  for (const auto& [pointer, value] : faults) {
    Json json = kGood;
    json[Json::json_pointer(pointer)] = value;
    EXPECT_EQ(error_of(json), Code::malformed) << pointer << " = " << value;
  }
}

TEST(PackagePolicy, WithAccuracyButNoLabelsIsRefused) {
  Json json = kGood;
  json["validation"]["golden"].erase("labels");
  EXPECT_EQ(error_of(json), Code::malformed);
  json["validation"]["golden"].erase("min_accuracy");
  EXPECT_EQ(error_of(json), Code::ok);
}

TEST(PackagePolicy, ThatIsNoJsonOrTooLargeIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"), kGood.dump() + std::string(1, '\0'),
        std::string(R"({"version":1,"version":1,"model":{"file":"m","runtime":"onnx"}})"), std::string("\xff")})
    EXPECT_EQ(parse_policy(as_bytes(text)).error().code(), Code::malformed) << text;
  EXPECT_EQ(parse_policy(Bytes(kMaxPolicyBytes + 1, ' ')).error().code(), Code::too_large);
}

}  // namespace
}  // namespace drover::package
