#include "server/api/throttle.h"

namespace drover::api {

bool Throttle::allows(std::string_view address, MonoTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(std::string(address));
  return found == entries_.end() || found->second.failures < free_ || now - found->second.since >= window_;
}

void Throttle::failed(std::string_view address, MonoTime now) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxAddresses) entries_.clear();
  Entry& entry = entries_[std::string(address)];
  if (entry.failures == 0 || now - entry.since >= window_) {
    entry.failures = 0;
    entry.since = now;
  }
  ++entry.failures;
}

}  // namespace drover::api
