// What a validator says: the one JSON object on its standard output, and its exit status.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::validators {

inline constexpr int kExitPass = 0;
inline constexpr int kExitFail = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitMissing = 3;  // cannot validate here

inline constexpr std::size_t kMaxVerdictBytes = 16 * 1024;
inline constexpr std::size_t kMaxDetail = 500;  // a sentence for people

struct Verdict {
  Code code = Code::ok;  // ok: pass
  std::string detail;
  std::int64_t load_us = 0;
  std::int64_t latency_p50_us = 0;
  std::optional<std::int64_t> incumbent_latency_p50_us;
  std::uint64_t peak_rss_bytes = 0;
  double agreement = 0;
  double max_abs_diff = 0;
  std::optional<double> accuracy;
  std::int64_t samples = 0;
  std::string runtime;

  bool pass() const { return code == Code::ok; }
};

// Pass, fail or missing, from the code.
int exit_status(const Verdict& verdict);

// One line without its end. Control characters and invalid UTF-8 in the detail are replaced, a long one is cut.
std::string print_verdict(const Verdict& verdict);

// Unknown fields are accepted (validators may be newer). Errors: malformed, too_large.
Result<Verdict> parse_verdict(std::string_view text);

}  // namespace drover::validators
