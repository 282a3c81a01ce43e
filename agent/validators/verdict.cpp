#include "agent/validators/verdict.h"

#include <cmath>
#include <limits>

#include "proto/json/reader.h"

namespace drover::validators {
namespace {

constexpr std::int64_t kMaxInteger = std::numeric_limits<std::int64_t>::max();

// JSON has no infinity: the largest number stands for it.
double finite(double value) {
  if (std::isnan(value)) return 0;
  return std::isinf(value) ? std::numeric_limits<double>::max() : value;
}

std::string plain(std::string_view text) {
  std::string clean(text.substr(0, kMaxDetail));
  for (char& c : clean)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return clean;
}

template <class T>
json::Value or_null(const std::optional<T>& value) {
  return value ? json::Value(*value) : json::Value();
}

}  // namespace

int exit_status(const Verdict& verdict) {
  if (verdict.pass()) return kExitPass;
  return verdict.code == Code::validator_missing ? kExitMissing : kExitFail;
}

std::string print_verdict(const Verdict& verdict) {
  json::Value out = {{"verdict", verdict.pass() ? "pass" : "fail"},
                     {"code", code_name(verdict.code)},
                     {"detail", plain(verdict.detail)},
                     {"load_us", verdict.load_us},
                     {"latency_p50_us", verdict.latency_p50_us},
                     {"incumbent_latency_p50_us", or_null(verdict.incumbent_latency_p50_us)},
                     {"peak_rss_bytes", verdict.peak_rss_bytes},
                     {"agreement", finite(verdict.agreement)},
                     {"max_abs_diff", finite(verdict.max_abs_diff)},
                     {"accuracy", or_null(verdict.accuracy)},
                     {"samples", verdict.samples},
                     {"runtime", verdict.runtime}};
  return out.dump(-1, ' ', false, json::Value::error_handler_t::replace);
}

Result<Verdict> parse_verdict(std::string_view text) {
  TRY_ASSIGN(const json::Value document, json::parse(text, kMaxVerdictBytes));
  json::Reader in(document);
  in.allow_unknown();
  Verdict verdict;
  const std::string word = in.text("verdict", 8);
  const std::string code = in.text("code", 64);
  verdict.code = code_from_name(code);
  verdict.detail = in.text_or("detail", "", 4 * kMaxDetail);  // replaced bytes grow
  verdict.load_us = in.integer_or("load_us", 0, 0, kMaxInteger);
  verdict.latency_p50_us = in.integer_or("latency_p50_us", 0, 0, kMaxInteger);
  if (in.has("incumbent_latency_p50_us"))
    verdict.incumbent_latency_p50_us = in.integer("incumbent_latency_p50_us", 0, kMaxInteger);
  verdict.peak_rss_bytes = static_cast<std::uint64_t>(in.integer_or("peak_rss_bytes", 0, 0, kMaxInteger));
  verdict.agreement = in.number_or("agreement", 0, 0, 1);
  verdict.max_abs_diff = in.number_or("max_abs_diff", 0, 0, std::numeric_limits<double>::max());
  if (in.has("accuracy")) verdict.accuracy = in.number("accuracy", 0, 1);
  verdict.samples = in.integer_or("samples", 0, 0, kMaxInteger);
  verdict.runtime = in.text_or("runtime", "", 100);
  if (word != "pass" && word != "fail") in.fail("verdict", "must be pass or fail");
  if ((word == "pass") != (verdict.code == Code::ok)) in.fail("code", "does not go with the verdict");
  TRY(in.finish());
  return verdict;
}

}  // namespace drover::validators
