// Promise 4, by random walk: a small fleet and a store in memory do and undo things in an order that nobody would think
// of; after each step everything that must always hold is looked at. One seed, one walk.
#include <gtest/gtest.h>

#include <algorithm>

#include "common/rng/rng.h"
#include "server/rollout/bucket.h"
#include "server/rollout/engine.h"
#include "server/rollout/state_text.h"

namespace drover::rollout {
namespace {

using std::chrono::seconds;

struct Device {
  std::size_t kind = 0;
  std::uint64_t place = 0;
  Standing standing = Standing::none;
  std::int32_t stage = 0;
  bool answered = false;  // the rollback
};

class Walk {
 public:
  explicit Walk(std::uint64_t seed) : rng_(seed), luck_(rng_.below(3) == 0 ? 0 : 99) {
    const std::int64_t stages = 1 + static_cast<std::int64_t>(rng_.below(4));
    for (std::int64_t i = 0; i < stages; ++i) spec_.stages.push_back(random_stage(i, stages));
    const std::uint64_t size = rng_.below(30);
    for (std::uint64_t i = 0; i < size; ++i) join();
    thresholds_.assign(kKinds, 0);
    Decision first = begin(spec_, now_);
    state_ = first.state;
    carry_out(first.actions);
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) step();
  }

  static inline int offers = 0, completed = 0, halted = 0, rolled_back = 0, promotions = 0;

 private:
  static constexpr std::size_t kKinds = 3;

  wire::StageSpec random_stage(std::int64_t at, std::int64_t stages) {
    wire::StageSpec stage;
    if (rng_.below(4) == 0)
      stage.count = (at + 1) * 3;
    else
      stage.percent = at + 1 == stages ? 100 : static_cast<double>(100 * (at + 1)) / static_cast<double>(stages + 1);
    stage.max_in_flight = static_cast<std::int64_t>(rng_.below(4));
    stage.soak = seconds(rng_.below(3) * 30);
    stage.deadline = seconds(60 + rng_.below(200));
    stage.failure_threshold_percent = static_cast<double>(rng_.below(60));
    stage.min_sample = 1 + static_cast<std::int64_t>(rng_.below(4));
    stage.success_percent = rng_.below(2) == 0 ? 100 : 50;
    stage.automatic = rng_.below(2) == 0;
    return stage;
  }

  void join() {
    Device device;
    device.kind = rng_.below(kKinds);
    device.place = bucket("salt", std::to_string(devices_.size()));
    devices_.push_back(device);
  }

  std::vector<std::uint64_t> places(std::size_t kind) const {
    std::vector<std::uint64_t> out;
    for (const Device& device : devices_)
      if (device.kind == kind) out.push_back(device.place);
    std::sort(out.begin(), out.end());
    return out;
  }

  void open_stage(std::int32_t stage) {
    std::vector<Stratum> strata;
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      const auto members = places(kind);
      const auto covered = std::lower_bound(members.begin(), members.end(), thresholds_[kind]) - members.begin();
      strata.push_back({std::to_string(kind), static_cast<std::int64_t>(members.size()), covered, thresholds_[kind]});
    }
    const StagePlan plan = plan_stage(spec_.stages[static_cast<std::size_t>(stage)], strata);
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      const auto member = static_cast<std::size_t>(plan.strata[kind].member);
      const std::uint64_t threshold =
          settle(plan.strata[kind], member == 0 ? std::nullopt : std::optional(places(kind).at(member - 1)));
      ASSERT_GE(threshold, thresholds_[kind]) << "a stage contains the stage before";
      thresholds_[kind] = threshold;
    }
    feed(StageOpened{stage, plan.expected});
  }

  void carry_out(const std::vector<Action>& actions) {
    for (const Action& action : actions) {
      if (action.kind == Action::Kind::open_stage && rng_.below(4) != 0)
        open_stage(action.stage);  // else: the server died
      if (action.kind == Action::Kind::sweep_silent) sweep(action.stage);
    }
  }

  void sweep(std::int32_t stage) {
    for (Device& device : devices_)
      if (device.stage == stage && device.standing == Standing::in_flight && rng_.below(100) >= luck_)
        move(device, Standing::silent);
  }

  bool feed(decltype(Input::event) event) {
    const RolloutState before = state_;
    Decision decision = decide(spec_, state_, {now_, std::move(event)});
    if (!decision.outcome) {
      EXPECT_EQ(encode(decision.state), encode(before)) << "refused means unchanged";
      EXPECT_TRUE(decision.actions.empty());
      return false;
    }
    state_ = decision.state;
    check(before);
    carry_out(decision.actions);
    return true;
  }

  void move(Device& device, Standing to) {
    const Standing from = device.standing;
    const std::int32_t stage = from == Standing::none ? state_.stage : device.stage;
    // Written down first: feed() carries out actions that may look at the devices.
    device.standing = to;
    device.stage = stage;
    if (!feed(DeploymentMoved{stage, from, to})) device.standing = from;
  }

  void offer(Device& device) {
    if (device.standing != Standing::none) return;
    const RolloutState before = state_;
    const Offer allowed = offer_allowed(spec_, state_, device.place, thresholds_[device.kind]);
    if (allowed != Offer::allowed) {
      if (allowed == Offer::not_covered) return;
      // The engine itself refuses, whatever the caller thought.
      EXPECT_FALSE(
          decide(spec_, state_, {now_, DeploymentMoved{state_.stage, Standing::none, Standing::in_flight}}).outcome);
      return;
    }
    move(device, Standing::in_flight);
    ASSERT_EQ(device.standing, Standing::in_flight);
    ++offers;
    ASSERT_TRUE(is_offering(before.phase));
    const wire::StageSpec& stage = spec_.stages[static_cast<std::size_t>(before.stage)];
    if (stage.max_in_flight > 0) {
      ASSERT_LE(standing_at(Standing::in_flight), stage.max_in_flight);
    }
    if (stage.count > 0) {
      ASSERT_LE(taken(), stage.count);
    }
  }

  std::int64_t standing_at(Standing standing) const {
    return std::count_if(devices_.begin(), devices_.end(),
                         [&](const Device& device) { return device.standing == standing; });
  }
  std::int64_t taken() const {
    return static_cast<std::int64_t>(devices_.size()) - standing_at(Standing::none) - standing_at(Standing::aborted);
  }

  void report(Device& device) {
    static constexpr Standing kEnds[] = {Standing::succeeded, Standing::succeeded, Standing::succeeded,
                                         Standing::succeeded, Standing::failed,    Standing::rolled_back,
                                         Standing::aborted};
    const Standing end = rng_.below(100) < luck_ ? Standing::succeeded : kEnds[rng_.below(std::size(kEnds))];
    if (device.standing == Standing::in_flight || device.standing == Standing::silent) move(device, end);
    const bool back = state_.phase == Phase::rolling_back || state_.phase == Phase::rolled_back;
    if (!back || device.standing != Standing::succeeded || device.answered) return;
    device.answered = true;
    feed(ReturnEnded{static_cast<Return>(rng_.below(3))});
  }

  void command() {
    static constexpr Verb kVerbs[] = {Verb::promote, Verb::promote, Verb::promote, Verb::promote,
                                      Verb::pause,   Verb::resume,  Verb::resume,  Verb::resume,
                                      Verb::halt,    Verb::abort,   Verb::rollback};
    const Verb verb = kVerbs[rng_.below(std::size(kVerbs))];
    if ((verb == Verb::halt || verb == Verb::abort || verb == Verb::rollback) && rng_.below(30) != 0) return;
    const std::int32_t from = state_.stage - static_cast<std::int32_t>(rng_.below(5) == 0);
    const bool willing = verdict(spec_, state_).call == gate::Call::promote;
    if (feed(Command{verb, "ann", from}) && verb == Verb::promote) {
      ++promotions;
      EXPECT_TRUE(willing) << "nobody is promoted against the gate";
    }
  }

  void step() {
    switch (rng_.below(12)) {
      case 0:
        return command();
      case 1:
        if (rng_.below(5) == 0 && devices_.size() < 40) join();
        return;
      case 2:
        if (rng_.below(400) == 0) feed(ReleaseWithdrawn{});
        return;
      case 3:
        now_ += rng_.below(10) == 0 ? seconds(100'000) : seconds(rng_.below(70));
        break;
      case 4:
        now_ -= seconds(rng_.below(200));
        break;
      case 5:
      case 6:
        now_ += seconds(30);
        break;
      case 7:
      case 8:
        if (!devices_.empty()) report(devices_[rng_.below(devices_.size())]);
        return;
      default:
        if (!devices_.empty()) offer(devices_[rng_.below(devices_.size())]);
        return;
    }
    feed(Tick{});
  }

  // What must hold after every accepted input.
  void check(const RolloutState& before) {
    check_counters();
    check_stage(before);
    check_phase(before);
    EXPECT_GE(state_.version, before.version);
    EXPECT_GE(state_.watched, before.watched);
    EXPECT_LE(state_.watched - before.watched, kMaxStep);
  }

  void check_counters() {
    StageCounters sum;
    for (const StageCounters& c : state_.stages) {
      ASSERT_EQ(c.offered, c.in_flight + c.succeeded + c.failed + c.rolled_back + c.aborted + c.silent);
      for (const std::int64_t n : {c.members, c.in_flight, c.succeeded, c.failed, c.rolled_back, c.aborted, c.silent})
        ASSERT_GE(n, 0);
      sum.in_flight += c.in_flight, sum.succeeded += c.succeeded, sum.silent += c.silent, sum.failed += c.failed;
    }
    ASSERT_EQ(sum.in_flight, standing_at(Standing::in_flight)) << "the counters say what the devices say";
    ASSERT_EQ(sum.succeeded, standing_at(Standing::succeeded));
    ASSERT_EQ(sum.failed, standing_at(Standing::failed));
    ASSERT_EQ(sum.silent, standing_at(Standing::silent));
  }

  void check_stage(const RolloutState& before) {
    ASSERT_GE(state_.stage, before.stage) << "a stage only grows";
    ASSERT_LE(state_.stage, before.stage + 1) << "and never jumps";
    if (state_.stage == before.stage) return;
    ASSERT_TRUE(before.phase == Phase::open || before.phase == Phase::soaking ||
                before.phase == Phase::awaiting_promotion);
    ASSERT_FALSE(state_.stage_opened);
  }

  void check_phase(const RolloutState& before) {
    const Phase from = before.phase, to = state_.phase;
    if (from != to && to == Phase::halted) ++halted;
    if (from != to && to == Phase::completed) ++completed;
    if (from != to && to == Phase::rolled_back) ++rolled_back;
    const bool back = to == Phase::rolling_back || to == Phase::rolled_back;
    if (from == Phase::halted || from == Phase::aborted) {
      ASSERT_TRUE(to == from || back) << "final except for a rollback";
    }
    ASSERT_TRUE(from != Phase::rolled_back || to == from);
    ASSERT_TRUE(from != Phase::rolling_back || back);
    ASSERT_TRUE(from != Phase::completed || to == from || to == Phase::halted || back);
    // Nothing is offered in these, whoever asks.
    if (!is_offering(to)) {
      ASSERT_EQ(offer_allowed(spec_, state_, 0, kEveryone), Offer::not_offering);
      ASSERT_FALSE(
          decide(spec_, state_, {now_, DeploymentMoved{state_.stage, Standing::none, Standing::in_flight}}).outcome);
    }
  }

  SeededRng rng_;
  std::uint64_t luck_;  // of 100 reports, how many are good for certain
  wire::RolloutSpec spec_;
  RolloutState state_;
  std::vector<Device> devices_;
  std::vector<std::uint64_t> thresholds_;
  WallTime now_{seconds(2'000'000'000)};
};

TEST(RolloutWalk, KeepsEveryPromiseWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Walk walk(seed);
    walk.run(600);
    if (HasFailure()) return;
  }
  RecordProperty("offers", Walk::offers);
  // The walks must have been somewhere.
  EXPECT_GT(Walk::offers, 1000);
  EXPECT_GT(Walk::completed, 50);
  EXPECT_GT(Walk::halted, 50);
  EXPECT_GT(Walk::rolled_back, 50);
  EXPECT_GT(Walk::promotions, 50);
}

}  // namespace
}  // namespace drover::rollout
