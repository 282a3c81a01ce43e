#include "agent/validators/verdict.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/expect.h"

namespace drover::validators {
namespace {

Verdict passing() {
  Verdict verdict;
  verdict.detail = "all is well";
  verdict.load_us = 15'000;
  verdict.latency_p50_us = 89;
  verdict.incumbent_latency_p50_us = 91;
  verdict.peak_rss_bytes = 37'000'000;
  verdict.agreement = 1;
  verdict.max_abs_diff = 0.25;
  verdict.accuracy = 0.975;
  verdict.samples = 64;
  verdict.runtime = "onnxruntime 1.23.2";
  return verdict;
}

TEST(Verdict, IsReadAsItWasPrinted) {
  const std::string line = print_verdict(passing());
  EXPECT_EQ(line,
            R"({"accuracy":0.975,"agreement":1.0,"code":"ok","detail":"all is well","incumbent_latency_p50_us":91,)"
            R"("latency_p50_us":89,"load_us":15000,"max_abs_diff":0.25,"peak_rss_bytes":37000000,)"
            R"("runtime":"onnxruntime 1.23.2","samples":64,"verdict":"pass"})");
  const auto read = parse_verdict(line);
  ASSERT_OK(read);
  EXPECT_EQ(print_verdict(*read), line);
  EXPECT_EQ(exit_status(*read), kExitPass);
}

TEST(Verdict, AFailureKeepsItsCode) {
  Verdict verdict;
  verdict.code = Code::validate_golden;
  const auto read = parse_verdict(print_verdict(verdict));
  ASSERT_OK(read);
  EXPECT_EQ(read->code, Code::validate_golden);
  EXPECT_FALSE(read->accuracy || read->incumbent_latency_p50_us);
  EXPECT_EQ(exit_status(*read), kExitFail);
  verdict.code = Code::validator_missing;
  EXPECT_EQ(exit_status(verdict), kExitMissing);
}

TEST(Verdict, WhatARuntimeSaysCannotBreakTheLine) {
  Verdict verdict = passing();
  verdict.detail = "two\nlines \xff\x01 \"quoted\" " + std::string(2000, 'x');
  verdict.max_abs_diff = std::numeric_limits<double>::infinity();
  const std::string line = print_verdict(verdict);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_LT(line.size(), 1200U);
  ASSERT_OK(parse_verdict(line));
}

TEST(Verdict, NonsenseIsNoVerdict) {
  EXPECT_CODE(parse_verdict(""), Code::malformed);
  EXPECT_CODE(parse_verdict("{}"), Code::malformed);
  EXPECT_CODE(parse_verdict(R"({"verdict":"perhaps","code":"ok"})"), Code::malformed);
  EXPECT_CODE(parse_verdict(R"({"verdict":"pass","code":"validate_load"})"), Code::malformed);
  EXPECT_CODE(parse_verdict(R"({"verdict":"fail","code":"ok"})"), Code::malformed);
  EXPECT_CODE(parse_verdict(R"({"verdict":"pass","code":"ok","load_us":-1})"), Code::malformed);
  EXPECT_CODE(parse_verdict(R"({"verdict":"pass","code":"ok"} {})"), Code::malformed);
  EXPECT_CODE(parse_verdict(std::string(kMaxVerdictBytes + 1, ' ')), Code::too_large);
}

TEST(Verdict, FieldsOfANewerValidatorAreAccepted) {
  const auto verdict = parse_verdict(R"({"verdict":"pass","code":"ok","power_mw":12})");
  ASSERT_OK(verdict);
  EXPECT_TRUE(verdict->pass());
}

}  // namespace
}  // namespace drover::validators
