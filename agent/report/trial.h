// The health of a release on trial, as its application tells it. Pure: times come in.
//
// Confirmed: `healthy_reports` good reports since the last complaint and the last restart. Failed: kMaxComplaintsInARow
// complaints in a row or kMaxComplaints in all (unhealthy); more than `max_restarts` broken connections of an
// application that serves the model (app_crash_loop); the deadline (health_silence).
#pragma once

#include <optional>
#include <string>

#include "agent/update/lifecycle.h"
#include "common/time/clock.h"

namespace drover::agent {

inline constexpr int kMaxComplaintsInARow = 2;  // one may be a hiccup while the model is being loaded
inline constexpr int kMaxComplaints = 4;        // good and bad in turn is not good

struct TrialVerdict {
  Code code = Code::ok;
  std::string detail;
};

class Trial {
 public:
  // `without_application`: a device on which no application speaks at all is confirmed at the deadline.
  Trial(std::string model, std::string package, update::Confirmation terms, MonoTime deadline,
        bool without_application);

  const std::string& model() const { return model_; }
  const std::string& package() const { return package_; }
  MonoTime deadline() const { return deadline_; }

  // An application that serves the model is there.
  void connected() { application_ = true; }
  // It says how it is, serving `package`. What it says of another package does not count.
  void health(const std::string& package, bool ok, const std::string& detail);
  // Its connection broke. What it said before does not count: it died of it.
  void dropped() {
    ++restarts_;
    healthy_ = 0;
  }

  // None while undecided.
  std::optional<TrialVerdict> verdict(MonoTime now) const;

 private:
  TrialVerdict at_deadline() const;

  std::string model_, package_;
  update::Confirmation terms_;
  MonoTime deadline_;
  bool without_application_;
  bool application_ = false;
  int healthy_ = 0;
  int complaints_ = 0;
  int in_a_row_ = 0;
  int restarts_ = 0;
  std::string complaint_;
};

}  // namespace drover::agent
