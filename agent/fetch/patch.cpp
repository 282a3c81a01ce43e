#include "agent/fetch/patch.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

namespace drover::agent {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kLookAtStop{200};
constexpr int kDone = 0, kFailed = 1, kCannotConfine = 3;  // docs/reference/patch.md
constexpr std::size_t kMaxSentence = 500;

// A child may say only what a delta, a base and a disk can be at fault for.
bool may_say(Code code) {
  return code == Code::malformed || code == Code::digest_mismatch || code == Code::too_large || code == Code::io ||
         code == Code::disk_full || code == Code::not_found || code == Code::unsafe_path;
}

Error said(std::string_view out) {
  out = out.substr(0, std::min(out.find('\n'), kMaxSentence));
  const std::size_t blank = std::min(out.find(' '), out.size());
  const Code code = code_from_name(out.substr(0, blank));
  const std::string sentence(out.substr(std::min(blank + 1, out.size())));
  if (!may_say(code)) return Error(Code::malformed, "the decoder gave up without a reason");
  return Error(code, sentence);
}

Error not_started(const Error& error) {
  const bool missing = error.code() == Code::not_found || error.code() == Code::permission_denied;
  return Error(missing ? Code::unsupported : Code::unavailable, "the decoder does not start: " + error.message());
}

// Looks at `stop` now and then while the child runs. Its handler may be due when it goes, so that it holds on weakly.
class Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(asio::any_io_executor executor, process::Child& child, std::function<bool()> stop)
      : timer_(std::move(executor)), child_(child), stop_(std::move(stop)) {}

  void look() {
    if (!stop_) return;
    timer_.expires_after(kLookAtStop);
    timer_.async_wait([self = weak_from_this()](const boost::system::error_code& error) {
      const auto watch = self.lock();
      if (error || !watch) return;
      if (watch->stop_()) watch->stopped_ = true;
      if (watch->stopped_) watch->child_.kill();
      watch->look();
    });
  }
  bool stopped() const { return stopped_; }

 private:
  asio::steady_timer timer_;
  process::Child& child_;
  std::function<bool()> stop_;
  bool stopped_ = false;
};

}  // namespace

Status judge_patch(const process::Outcome& outcome) {
  if (outcome.exited(kDone)) return {};
  if (outcome.exited(kFailed)) return said(outcome.out);
  if (outcome.exited(kCannotConfine))
    return Error(Code::unsupported, "the kernel cannot confine the decoder of deltas");
  return Error(Code::malformed, "the decoder " + process::describe(outcome));
}

process::Spec patch_spec(const Patch& patch, std::uint64_t base_size) {
  process::Spec spec;
  spec.argv = {patch.program, "--delta", patch.delta, "--out", patch.out, "--size", std::to_string(patch.size),
               "--target-digest", patch.target};
  if (!patch.base_file.empty())
    spec.argv.insert(spec.argv.end(), {"--base", patch.base_file, "--base-digest", patch.base});
  spec.deadline = patch.deadline;
  if (spec.deadline.count() == 0) {
    const std::chrono::milliseconds work(patch.size / kPatchLeastRate * 1000);
    spec.deadline = std::min<std::chrono::milliseconds>(kPatchGrace + work, process::kMaxDeadline);
  }
  spec.max_resident = base_size + kPatchMemory;
  spec.limits.file_size = patch.size;
  return spec;
}

asio::awaitable<Status> apply_patch(fs::Files& files, Patch patch, std::function<bool()> stop) {
  std::uint64_t base_size = 0;
  if (!patch.base_file.empty()) {
    CO_TRY_ASSIGN(const fs::Info info, files.info(patch.base_file));
    base_size = info.size;
  }
  auto started = process::start(patch_spec(patch, base_size));
  if (!started) co_return not_started(started.error());
  process::Child child = std::move(*started);
  const auto executor = co_await asio::this_coro::executor;
  const auto watch = std::make_shared<Watch>(executor, child, std::move(stop));  // goes before the child
  watch->look();
  asio::posix::stream_descriptor ready(executor, ::dup(child.fd()));
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  while (!child.advance()) co_await ready.async_wait(asio::posix::stream_descriptor::wait_read, token);
  if (watch->stopped()) co_return Error(Code::cancelled, "stopped while a delta was applied");
  co_return judge_patch(child.take_outcome());
}

}  // namespace drover::agent
