#include "agent/fetch/chain.h"

#include <algorithm>
#include <charconv>

#include "agent/store/layout.h"
#include "common/crypto/hash.h"
#include "common/delta/format.h"

namespace drover::agent {
namespace {

Error missing(const std::string& why) { return Error(Code::delta_missing, why); }

bool is_decoded_here(std::int64_t codec) { return codec >= delta::kOldestVersion && codec <= delta::kVersion; }

std::uint64_t largest_between(const Wanted& wanted, std::span<const Held> held) {
  std::uint64_t largest = wanted.size;
  for (const Held& one : held) largest = std::max(largest, one.size);
  return largest * wire::kMaxBetween;
}

Status check_step(const wire::DeltaStep& step, const std::string& from, std::uint64_t largest) {
  if (step.base != from) return missing("the server's deltas do not follow each other");
  if (!crypto::Digest::parse(step.target)) return missing("the server's way leads to no file");
  if (!is_decoded_here(step.codec))
    return missing("the server's delta is of version " + std::to_string(step.codec) +
                   ", which this agent does not know");
  if (step.bytes == 0 || step.target_bytes == 0 || step.target_bytes > largest)
    return missing("the server's deltas make a file of no sensible size");
  return {};
}

}  // namespace

Held nothing_held() {
  Held nothing;
  nothing.digest = wire::kNothing;
  nothing.packed = true;
  return nothing;
}

bool may_come_packed(const Wanted& wanted, bool whole_files) { return whole_files || wanted.bases.empty(); }

std::optional<Held> parse_between(const std::string& folder, std::string_view name) {
  const std::string path = folder + "/" + std::string(name);
  if (!name.ends_with(Layout::kBetween)) return std::nullopt;
  name.remove_suffix(Layout::kBetween.size());
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto digest = crypto::Digest::parse_hex(name.substr(0, dot));
  if (!digest) return std::nullopt;
  Held held;
  std::string_view paid = name.substr(dot + 1);
  held.packed = paid.starts_with('p');
  if (held.packed) paid.remove_prefix(1);
  const char* end = paid.data() + paid.size();
  const auto [at, fault] = std::from_chars(paid.data(), end, held.paid);
  if (fault != std::errc() || at != end) return std::nullopt;
  held.digest = digest->text();
  held.file = path;
  held.between = true;
  return held;
}

std::string plan_target(const Wanted& wanted, std::span<const Held> held, std::uint64_t room) {
  std::string target = "/api/v1/deltas/" + wanted.digest + "?have=";
  for (std::size_t i = 0; i < std::min(held.size(), wire::kMaxHeldFiles); ++i)
    target += (i == 0 ? "" : ",") + held[i].digest;
  target += "&codecs=";
  for (unsigned codec = delta::kOldestVersion; codec <= delta::kVersion; ++codec)
    target += (codec == delta::kOldestVersion ? "" : ",") + std::to_string(codec);
  target += "&room=" + std::to_string(room);
  return target;
}

std::string step_target(const wire::DeltaStep& step) {
  std::string target = "/api/v1/deltas/" + step.target + "/" + step.base;
  if (step.codec != wire::kFirstCodec) target += "?codec=" + std::to_string(step.codec);
  return target;
}

Status check_plan(const wire::DeltaPlan& plan, const Wanted& wanted, std::span<const Held> held) {
  if (plan.steps.empty()) return missing("the server has no delta");
  const auto from =
      std::find_if(held.begin(), held.end(), [&](const Held& one) { return one.digest == plan.steps.front().base; });
  if (from == held.end()) return missing("the server's delta starts from a file that is not here");
  const std::uint64_t largest = largest_between(wanted, held);
  std::string at = from->digest;
  std::uint64_t left = wanted.size;
  for (const wire::DeltaStep& step : plan.steps) {
    TRY(check_step(step, at, largest));
    if (step.bytes >= left) return missing("the server's deltas are no smaller than the file");
    left -= step.bytes;
    at = step.target;
  }
  if (at != wanted.digest || plan.steps.back().target_bytes != wanted.size)
    return missing("the server's deltas lead to another file");
  return {};
}

std::uint64_t room_for(const wire::DeltaPlan& plan) {
  std::uint64_t most = 0, before = 0;
  for (const wire::DeltaStep& step : plan.steps) {
    most = std::max(most, before + step.bytes + step.target_bytes);
    before = step.target_bytes;
  }
  return most;
}

}  // namespace drover::agent
