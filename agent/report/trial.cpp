#include "agent/report/trial.h"

namespace drover::agent {

Trial::Trial(std::string model, std::string package, update::Confirmation terms, MonoTime deadline,
             bool without_application)
    : model_(std::move(model)),
      package_(std::move(package)),
      terms_(terms),
      deadline_(deadline),
      without_application_(without_application) {}

void Trial::health(const std::string& package, bool ok, const std::string& detail) {
  application_ = true;
  if (package != package_) return;
  if (ok) {
    ++healthy_;
    in_a_row_ = 0;
    return;
  }
  healthy_ = 0;
  ++complaints_;
  ++in_a_row_;
  complaint_ = detail;
}

std::optional<TrialVerdict> Trial::verdict(MonoTime now) const {
  if (in_a_row_ >= kMaxComplaintsInARow || complaints_ >= kMaxComplaints)
    return TrialVerdict{Code::unhealthy, complaint_.empty() ? "the application is not well" : complaint_};
  if (restarts_ > terms_.max_restarts)
    return TrialVerdict{Code::app_crash_loop, "the application went away " + std::to_string(restarts_) + " times"};
  if (healthy_ >= terms_.healthy_reports) return TrialVerdict{};
  if (now >= deadline_) return at_deadline();
  return std::nullopt;
}

TrialVerdict Trial::at_deadline() const {
  if (!application_ && without_application_) return {};
  if (!application_) return {Code::health_silence, "no application has said anything"};
  return {Code::health_silence, std::to_string(healthy_) + " of " + std::to_string(terms_.healthy_reports) +
                                    " good reports before the deadline"};
}

}  // namespace drover::agent
