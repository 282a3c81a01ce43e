// What is to be simulated, and what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace drover::sim {

// A fault that is built in on purpose, to see that the world notices it.
enum class Plant : std::uint8_t {
  none,
  flips_before_verify,        // agent: the link is flipped when the bytes have come
  believes_unlisted,          // agent: takes what the director says, whether release managers listed it or not
  takes_anybodys_assignment,  // agent: does not look whose name is in the assignment
  confirms_unseen,            // agent: keeps a release without a word from the application
  asks_before_rollback,       // agent: goes back only while the server answers
  forgets_deployment,         // agent: a restart wipes the state of the deployment under way
  goes_back_elsewhere,        // server: a rollback leads to another release
  forgets_cap,                // server: offers beyond the in-flight cap
  forgets_stage,              // server: offers to everyone
  offers_when_halted,         // server: a halt stops nobody
  forgets_revision,           // server: idle check-ins do not hear of a halt
  counts_twice,               // server: a report that comes twice counts twice
  acks_before_commit,         // server: acknowledges, then forgets
  reuses_versions,            // server: an assignment's version does not grow
  never_sweeps,               // server: the silent are never counted
  insists_on_every_event,     // server: a report behind a gap is refused, though devices drop what is not final
};

struct Options {
  std::uint64_t seed = 1;
  int devices = 0;  // 0: the seed says
  Plant plant = Plant::none;
  bool store = false;    // the server's real store and journeys, instead of one in memory
  bool verbose = false;  // the story goes to standard output as it happens
};

// Where a run has been: a simulation that meets nothing proves nothing.
struct Tally {
  std::uint64_t events = 0, checkins = 0, lost = 0, twice = 0, power_cuts = 0, crashes = 0, server_restarts = 0;
  std::uint64_t offers = 0, committed = 0, refused = 0, went_back = 0, taken_back = 0, returned = 0;
  std::uint64_t rollouts = 0, completed = 0, halted = 0, rolled_back = 0, promotions = 0, withdrawn = 0, silent = 0;

  void add(const Tally& other);
};

struct Outcome {
  std::string violation;  // empty: every promise was kept
  std::uint64_t digest = 0;
  std::vector<std::string> last;  // the last events before the end
  Tally tally;
};

// One world, from its seed to its end. Deterministic, one thread, no real time.
Outcome simulate(const Options& options);

}  // namespace drover::sim
