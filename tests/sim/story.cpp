#include "tests/sim/story.h"

#include <cstdio>

namespace drover::sim {

void Tally::add(const Tally& other) {
  events += other.events, checkins += other.checkins, lost += other.lost, twice += other.twice;
  power_cuts += other.power_cuts, crashes += other.crashes, server_restarts += other.server_restarts;
  offers += other.offers, committed += other.committed, refused += other.refused, went_back += other.went_back;
  taken_back += other.taken_back, returned += other.returned, rollouts += other.rollouts;
  completed += other.completed, halted += other.halted, rolled_back += other.rolled_back;
  promotions += other.promotions, withdrawn += other.withdrawn, silent += other.silent;
}

void Story::tell(std::string_view who, std::string_view what) {
  char time[32];
  const std::int64_t ms = queue_.now().count();
  std::snprintf(time, sizeof time, "%02d:%02d:%02d.%03d ", static_cast<int>(ms / 3'600'000),
                static_cast<int>(ms / 60'000 % 60), static_cast<int>(ms / 1000 % 60), static_cast<int>(ms % 1000));
  std::string line = time;
  line += who;
  line.resize(std::max<std::size_t>(line.size() + 1, 24), ' ');
  line += what;
  for (const char c : line) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  if (aloud_) std::puts(line.c_str());
  lines_.push_back(std::move(line));
  if (lines_.size() > kLastLines) lines_.pop_front();
}

void Story::broken(std::string_view promise, std::string_view how) {
  if (is_broken()) return;
  violation_ = std::string(promise) + ": " + std::string(how);
  tell("BROKEN", violation_);
}

}  // namespace drover::sim
