// The simulation by hand: many seeds, or one with its story.
#include <charconv>
#include <cstdio>
#include <string_view>

#include "tests/sim/options.h"

namespace {

using drover::sim::Options;

struct Arguments {
  Options options;
  std::uint64_t seeds = 1;
  bool help = false;
};

constexpr std::string_view kHelp =
    "usage: sim [--seed n] [--seeds m] [--devices k] [--store] [--check] [-v]\n"
    "\n"
    "  --seed n     the first seed (1)\n"
    "  --seeds m    how many, one after another (1)\n"
    "  --devices k  how many devices at the beginning (the seed says)\n"
    "  --store      the server's real store and journeys instead of one in memory (slower)\n"
    "  --check      run each seed twice and compare\n"
    "  -v           tell the story\n";

bool number(std::string_view text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse(int argc, char** argv, Arguments& out, bool& check) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    std::uint64_t value = 0;
    const bool takes = word == "--seed" || word == "--seeds" || word == "--devices";
    if (takes && (i + 1 == argc || !number(argv[++i], value))) return false;
    if (word == "--seed")
      out.options.seed = value;
    else if (word == "--seeds")
      out.seeds = value;
    else if (word == "--devices" && value <= 10'000)
      out.options.devices = static_cast<int>(value);
    else if (word == "--store")
      out.options.store = true;
    else if (word == "--check")
      check = true;
    else if (word == "-v")
      out.options.verbose = true;
    else if (word == "-h" || word == "--help")
      out.help = true;
    else
      return false;
  }
  return true;
}

void print_failure(const Options& options, const drover::sim::Outcome& outcome) {
  if (!options.verbose)
    for (const std::string& line : outcome.last) std::puts(line.c_str());
  std::printf("\nseed %llu broke a promise: %s\nagain: ./run sim --seed %llu%s -v\n",
              static_cast<unsigned long long>(options.seed), outcome.violation.c_str(),
              static_cast<unsigned long long>(options.seed), options.store ? " --store" : "");
}

void print(const drover::sim::Tally& t) {
  const auto n = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "%llu events, %llu check-ins, %llu lost, %llu twice, %llu power cuts, %llu crashes, %llu server restarts\n",
      n(t.events), n(t.checkins), n(t.lost), n(t.twice), n(t.power_cuts), n(t.crashes), n(t.server_restarts));
  std::printf(
      "%llu rollouts, %llu offers: %llu committed, %llu refused, %llu went back, %llu taken back, %llu silent\n",
      n(t.rollouts), n(t.offers), n(t.committed), n(t.refused), n(t.went_back), n(t.taken_back), n(t.silent));
  std::printf(
      "%llu completed, %llu halted, %llu rolled back (%llu devices returned), %llu promotions, %llu withdrawals\n",
      n(t.completed), n(t.halted), n(t.rolled_back), n(t.returned), n(t.promotions), n(t.withdrawn));
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  bool check = false;
  if (!parse(argc, argv, arguments, check) || arguments.help) {
    std::fputs(kHelp.data(), arguments.help ? stdout : stderr);
    return arguments.help ? 0 : 2;
  }
  drover::sim::Tally total;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i, ++arguments.options.seed) {
    const auto outcome = drover::sim::simulate(arguments.options);
    total.add(outcome.tally);
    if (!outcome.violation.empty()) {
      print_failure(arguments.options, outcome);
      return 1;
    }
    if (arguments.seeds == 1) std::printf("digest %016llx\n", static_cast<unsigned long long>(outcome.digest));
    if (check && drover::sim::simulate(arguments.options).digest != outcome.digest) {
      std::printf("seed %llu does not end as it ended before\n",
                  static_cast<unsigned long long>(arguments.options.seed));
      return 1;
    }
  }
  print(total);
  return 0;
}
