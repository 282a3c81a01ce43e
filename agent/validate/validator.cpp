#include "agent/validate/validator.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "proto/wire/device.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMaxWords = 300;  // of what a program that failed wrote to stderr
// The program watches its own budget and tells; this only ends one that does not.
constexpr std::uint64_t kMemorySlack = 64u << 20;

std::string last_words(const process::Outcome& outcome) {
  std::string words = outcome.err.substr(outcome.err.size() - std::min(outcome.err.size(), kMaxWords));
  while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.pop_back();
  std::replace(words.begin(), words.end(), '\n', ' ');
  return words.empty() ? "" : ": " + words;
}

Verdict crash(const process::Outcome& outcome, const std::string& how) {
  return {Code::validate_crash, "the validator " + how + last_words(outcome), ""};
}

}  // namespace

Verdict judge(const process::Outcome& outcome) {
  if (outcome.timed_out) return {Code::validate_timeout, "the validation took longer than the package allows", ""};
  if (outcome.over_memory)
    return {Code::validate_memory,
            "the validation took " + std::to_string(outcome.peak_rss_bytes) + " bytes of memory and was ended", ""};
  if (outcome.exit_code != 0 && outcome.exit_code != 1 && outcome.exit_code != 3)
    return crash(outcome, process::describe(outcome));
  const auto document = json::parse(outcome.out, wire::kMaxEvidence);
  if (!document || !document->is_object()) return crash(outcome, "did not print a verdict");
  json::Reader in(*document);
  in.allow_unknown();
  const std::string verdict = in.text("verdict", 16);
  const std::string code = in.text("code", 64);
  const std::string detail = in.text_or("detail", "", wire::kMaxEvidence);
  if (!in.finish()) return crash(outcome, "printed no proper verdict");
  const std::string evidence = document->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (outcome.exit_code == 0 && verdict == "pass") return {Code::ok, detail, evidence};
  if (outcome.exit_code == 3) return {Code::validator_missing, detail, evidence};
  const Code named = code_from_name(code);
  if (outcome.exit_code == 0 || named == Code::ok || named == Code::internal)
    return crash(outcome, "contradicts itself: " + verdict + ", " + code);
  return {named, detail, evidence};
}

process::Spec spec_of(const ValidationJob& job) {
  process::Spec spec;
  spec.argv = {job.program, "--package", job.package};
  if (!job.incumbent.empty()) {
    spec.argv.push_back("--incumbent");
    spec.argv.push_back(job.incumbent);
  }
  if (!job.runtime.empty()) spec.env.push_back("DROVER_ONNXRUNTIME=" + job.runtime);
  spec.deadline = job.timeout + kValidatorGrace;
  if (job.memory_budget != 0) spec.max_resident = job.memory_budget + job.memory_budget / 2 + kMemorySlack;
  return spec;
}

asio::awaitable<Verdict> Validator::run(ValidationJob job) {
  stopped_ = false;
  Verdict verdict;
  auto started = process::start(spec_of(job));
  if (!started) {
    const Code code = started.error().code();
    const bool missing = code == Code::not_found || code == Code::permission_denied;
    verdict.code = missing ? Code::validator_missing : Code::validate_crash;
    verdict.detail = "the validator does not start: " + started.error().message();
    co_return verdict;
  }
  const auto child = std::make_shared<process::Child>(std::move(*started));
  child_ = child;
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor ready(executor, ::dup(child->fd()));
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  while (!child->advance()) co_await ready.async_wait(asio::posix::stream_descriptor::wait_read, token);
  child_.reset();
  verdict = judge(child->take_outcome());
  if (stopped_) {
    verdict.code = Code::cancelled;
    verdict.detail = "stopped while validating";
  }
  co_return verdict;
}

void Validator::stop() {
  if (!child_) return;
  stopped_ = true;
  child_->kill();
}

}  // namespace drover::agent
