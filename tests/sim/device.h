// One device: the real life-cycle (agent/update) and the real judgement of a trial, over a disk that survives power
// cuts and an application whose behaviour depends on the release. What the agent's shell does with sockets and files is
// played here, step by step, with the same order of effect and write.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/report/trial.h"
#include "agent/update/lifecycle.h"
#include "agent/update/plan.h"
#include "common/rng/rng.h"
#include "tests/sim/catalogue.h"
#include "tests/sim/server.h"

namespace drover::sim {

inline constexpr std::size_t kSimOutbox = 24;  // small, so that a device that is long offline drops what is not final

// What is on the disk of a device. A change is durable at once; what is not yet durable is not here.
struct Disk {
  update::State state;
  std::vector<update::Slot> slots;
  Assignment accepted;
  std::vector<wire::Event> outbox;
  std::uint64_t next_seq = 1;
  Claims claims;
  std::vector<wire::Installed> reported;
  bool clean_stop = false;
  update::Links links;  // what `current` shows
  struct Blob {
    double fetched = 0;  // share of it
    bool good = true;
  };
  std::map<std::string, Blob> blobs;     // by package: what has been downloaded
  std::map<std::string, bool> packages;  // complete directories; false: their bytes are wrong
};

// What the world gives to its devices.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual EventQueue& queue() = 0;
  virtual Story& story() = 0;
  virtual const Catalogue& catalogue() = 0;
  virtual Plant plant() = 0;
  virtual bool faults() = 0;  // false: from now on nothing goes wrong any more
  // Whether a request that is made now gets its answer.
  virtual bool reachable(const std::string& device) = 0;
  virtual void send(const std::string& device, std::uint64_t request, Checkin checkin) = 0;
  // For those who look on. `touched`: something about the device has changed.
  virtual void touched(const std::string& device) = 0;
  virtual void appended(const std::string& device, const wire::Event& event) = 0;
  virtual void synced(const std::string& device, const update::Target& target) = 0;
  virtual void began(const std::string& device, const update::Target& target, const std::string& held) = 0;
};

class Device {
 public:
  Device(Surroundings& around, fleet::DeviceView view, std::uint64_t seed);

  const fleet::DeviceView& view() const { return view_; }
  const std::string& id() const { return view_.id; }
  const Disk& disk() const { return disk_; }
  bool running() const { return running_; }
  bool at_rest() const { return running_ && disk_.state.step == update::Step::idle && disk_.outbox.empty(); }
  // Time with power since the release under way was first shown; 0 when none is on trial or on its way back.
  Time trial_uptime() const;

  void power_on();
  void power_cut();
  void agent_dies();
  void agent_stops();
  void restart_soon();
  // The server's answer, however late.
  void deliver(std::uint64_t request, const Answer& answer);
  // Ill luck: from now on the agent is prone to die in this step; nullopt: no more.
  void prone_to_die(std::optional<update::Step> step) { prone_ = step; }

 private:
  using Guarded = std::function<void()>;
  void tell(const std::string& what);
  void after(Time delay, Guarded what);  // forgotten when the agent dies meanwhile
  Time between(int low_ms, int high_ms);
  bool chance(std::uint64_t in_thousand);

  void start_agent();
  void check_in_after(Time delay);
  void check_in();
  void check_in_failed();
  void take_answer(const Answer& answer);
  void take_assignment(const Assignment& assignment);

  // device_steps.cpp
  void work();
  void begin_step();
  void finish_step();
  void feed(update::Event event);
  void apply(const update::Decision& decision);
  void append(const update::Target& target, const update::Report& report);
  void collect();
  bool mishap(std::string_view where);
  update::Event perform();
  update::Event sync();
  update::Event fetch();
  update::Event verify();
  update::Event validate();
  update::Event commit();
  Time duration();
  update::Moment moment() const;
  MonoTime mono() const;
  void start_trial();
  void application_comes();
  void application_lives();
  void look_at_trial();
  void power_lost_in_step();

  Surroundings& around_;
  fleet::DeviceView view_;
  SeededRng rng_;
  Disk disk_;
  // Not durable.
  bool powered_ = false, running_ = false;
  std::uint64_t life_ = 0;  // of the agent; what an earlier life has asked for never happens
  std::uint64_t boots_ = 0;
  Time booted_{0};
  bool busy_ = false;
  std::uint64_t step_token_ = 0;
  std::optional<agent::Trial> trial_;
  std::optional<update::Event> trial_event_;
  std::uint64_t request_ = 0, awaited_ = 0;
  std::vector<wire::Installed> told_;
  bool check_in_wanted_ = false;
  std::uint64_t check_in_token_ = 0;
  int failures_ = 0;
  std::optional<update::Step> prone_;
  // Trial time, for the oracle.
  Time uptime_before_{0};
  std::optional<Time> trial_since_;
};

}  // namespace drover::sim
