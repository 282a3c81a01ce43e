// What happened, as lines. The last of them are kept for people, all of them go into a digest: two runs that differ
// anywhere end with different digests. The first violation of a promise is kept and ends the run.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/options.h"
#include "tests/sim/queue.h"

namespace drover::sim {

inline constexpr std::size_t kLastLines = 50;  // what fits a screen, and mostly holds the cause

class Story {
 public:
  Story(const EventQueue& queue, bool aloud) : queue_(queue), aloud_(aloud) {}

  void tell(std::string_view who, std::string_view what);
  // `promise` names the one of design 1 that is broken.
  void broken(std::string_view promise, std::string_view how);

  bool is_broken() const { return !violation_.empty(); }
  const std::string& violation() const { return violation_; }
  std::uint64_t digest() const { return digest_; }
  std::vector<std::string> last() const { return {lines_.begin(), lines_.end()}; }
  Tally tally;

 private:
  const EventQueue& queue_;
  bool aloud_;
  std::deque<std::string> lines_;
  std::uint64_t digest_ = 0xcbf29ce484222325;  // FNV-1a
  std::string violation_;
};

}  // namespace drover::sim
