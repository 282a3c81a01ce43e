// drover.json, the package policy: how the model is checked on the device before and after activation. Signed with the
// package, because it is one of its files. Strict: unknown fields and values out of bounds are refused. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::package {

inline constexpr std::string_view kPolicyFile = "drover.json";
inline constexpr std::size_t kMaxPolicyBytes = 64 * 1024;

struct GoldenPolicy {
  std::string inputs;  // paths within the package: raw little-endian float32, sample-major
  std::string outputs;
  std::int64_t samples = 0;
  std::vector<std::int64_t> input_shape;  // of one sample
  std::vector<std::int64_t> output_shape;
  double atol = 0.01;          // greatest absolute difference of an output
  double min_agreement = 1.0;  // share of samples whose argmax is the golden one's
  std::string labels;          // raw uint8, one a sample; empty: no accuracy
  double min_accuracy = 0.0;
};

struct LatencyPolicy {
  std::chrono::microseconds budget{50'000};
  double max_ratio_to_incumbent = 3.0;
  std::int64_t runs = 50;
};

struct MemoryPolicy {
  std::uint64_t budget_bytes = 256u << 20;
};

struct ValidationPolicy {
  std::optional<GoldenPolicy> golden;
  std::optional<LatencyPolicy> latency;
  std::optional<MemoryPolicy> memory;
  std::chrono::seconds timeout{60};
};

struct ConfirmationPolicy {
  std::chrono::seconds deadline{20};
  std::int64_t healthy_reports = 3;
  std::int64_t max_restarts = 2;
};

// Where a confidential package's files are plain text on the device: in a folder that lies in memory, or in files without a
// name in the agent's memory.
enum class PlainPlace : std::uint8_t { tmpfs, memfd };

struct PackagePolicy {
  std::string model_file;  // path within the package
  std::string runtime;     // "onnx"
  ValidationPolicy validation;
  ConfirmationPolicy confirmation;
  std::optional<PlainPlace> confidential{};  // set: the package may be built encrypted only
};

// Errors: malformed with the place, too_large, unsupported (version), unsafe_path.
Result<PackagePolicy> parse_policy(ByteView bytes);
std::string print_policy(const PackagePolicy& policy);

}  // namespace drover::package
