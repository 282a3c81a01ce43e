#include "server/api/journey/outcome.h"

#include "common/obs/log.h"
#include "server/api/journey/engine.h"

namespace drover::api {
namespace {

rollout::Standing standing_of(wire::Outcome outcome) {
  switch (outcome) {
    case wire::Outcome::succeeded:
      return rollout::Standing::succeeded;
    case wire::Outcome::failed:
      return rollout::Standing::failed;
    case wire::Outcome::rolled_back:
      return rollout::Standing::rolled_back;
    case wire::Outcome::aborted:
      return rollout::Standing::aborted;
    case wire::Outcome::started:
    case wire::Outcome::progress:
      break;
  }
  return rollout::Standing::in_flight;
}

bool is_activated_by(wire::Step step) {
  return step == wire::Step::activate || step == wire::Step::confirm || step == wire::Step::commit;
}

void note_progress(store::Deployment& deployment, const wire::Event& event, WallTime now) {
  deployment.step = wire::to_text(event.step);
  if (event.code != Code::ok || wire::is_final(event.outcome)) deployment.code = event.code;
  if (!event.detail.empty() || wire::is_final(event.outcome)) deployment.detail = event.detail;
  deployment.bytes_fetched = std::max(deployment.bytes_fetched, event.bytes_fetched);
  deployment.bytes_resumed = std::max(deployment.bytes_resumed, event.bytes_resumed);
  deployment.bytes_saved = std::max(deployment.bytes_saved, event.bytes_saved);
  deployment.updated_at = now;
}

// The way back has ended. For a device that had succeeded it is an answer to the rollback; one that was still in flight
// has thereby ended its deployment.
Status end_return(store::Writer& writer, store::Deployment& deployment, const wire::Event& event, WallTime now) {
  if (!wire::is_final(event.outcome) || deployment.return_ended) return writer.deployments.update(deployment);
  const bool back = event.outcome == wire::Outcome::succeeded;
  deployment.return_ended = true;
  if (deployment.standing != rollout::Standing::succeeded)
    return move_deployment(writer, deployment, rollout::Standing::rolled_back, now);
  TRY(writer.deployments.update(deployment));
  TRY_ASSIGN(auto row, writer.rollouts.find_no(deployment.rollout_no));
  if (!row) return {};
  const auto result = back ? rollout::Return::returned : rollout::Return::failed;
  const Status fed = feed(writer, *row, {now, rollout::ReturnEnded{result}});
  if (!fed && fed.error().code() != Code::conflict && fed.error().code() != Code::invalid_argument) return fed;
  return {};
}

bool is_open(rollout::Standing standing) {
  return standing == rollout::Standing::in_flight || standing == rollout::Standing::silent;
}

// A device ends what it is committing before it begins what it was offered meanwhile: that offer takes the place of
// what is held now, not of what was held when it was made.
Status note_held(store::Writer& writer, const store::Device& device, std::string_view model,
                 const std::string& release) {
  TRY_ASSIGN(std::vector<store::Deployment> all, writer.deployments.of_device(device.no, store::kMaxHistory));
  for (store::Deployment& one : all) {
    if (!is_open(one.standing) || one.activated || one.model != model || one.release == release) continue;
    if (one.previous == release) continue;
    one.previous = release;
    TRY(writer.deployments.update(one));
  }
  return {};
}

// Of a deployment that ends: it has taken the place of something, and moved bytes or saved them.
wire::Savings savings_of(const store::Deployment& ended) {
  wire::Savings out;
  if (ended.previous.empty() || ended.bytes_fetched + ended.bytes_saved == 0) return out;
  out.updates = 1;
  out.by_delta = ended.bytes_saved > 0 ? 1 : 0;
  out.bytes_fetched = ended.bytes_fetched;
  out.bytes_saved = ended.bytes_saved;
  return out;
}

Status note_savings(store::Writer& writer, const store::Deployment& ended, wire::Savings& all) {
  const wire::Savings more = savings_of(ended);
  if (more.updates == 0) return {};
  all.updates += more.updates;
  all.by_delta += more.by_delta;
  all.bytes_fetched += more.bytes_fetched;
  all.bytes_saved += more.bytes_saved;
  return writer.rollouts.add_savings(ended.rollout_no, more);
}

Status apply_event(store::Writer& writer, const store::Device& device, const wire::Event& event, WallTime now,
                   wire::Savings& savings) {
  TRY(writer.devices.add_event(device.no, event, now));
  const auto name = store::parse_deployment_id(event.deployment);
  if (!name) return {};
  TRY_ASSIGN(auto deployment, writer.deployments.find(name->no));
  // A deployment of another device or of a lost database is history without consequences.
  if (!deployment || deployment->device_no != device.no) return {};
  const std::string held = name->back ? deployment->previous : deployment->release;
  if (name->back) {
    TRY(end_return(writer, *deployment, event, now));
    return event.outcome == wire::Outcome::succeeded ? note_held(writer, device, deployment->model, held) : Status();
  }
  const bool open = is_open(deployment->standing);
  if (open) {
    note_progress(*deployment, event, now);
    if (is_activated_by(event.step)) deployment->activated = true;
  }
  if (open && wire::is_final(event.outcome)) {
    TRY(note_savings(writer, *deployment, savings));
    TRY(move_deployment(writer, *deployment, standing_of(event.outcome), now));
  } else {
    TRY(writer.deployments.update(*deployment));
  }
  return event.outcome == wire::Outcome::succeeded ? note_held(writer, device, deployment->model, held) : Status();
}

}  // namespace

Result<wire::Report> open_report(const wire::SignedReport& signed_report, const store::Device& device) {
  std::string message(wire::kReportContext);
  message += signed_report.payload;
  TRY_ASSIGN(const Bytes signature, from_hex(signed_report.signature));
  if (!crypto::verify(device.key, as_bytes(message), signature))
    return Error(Code::bad_signature, "the report is not signed by this device's key");
  TRY_ASSIGN(wire::Report report, wire::decode_report(signed_report.payload).within("the report"));
  if (report.device_id != device.view.id) return Error(Code::wrong_device, "the report names another device");
  return report;
}

ReportStanding standing_of_report(const store::Device& device, const wire::Report& report, std::string_view digest) {
  // Who has never counted need not begin; who has once does so for good.
  if (report.counter > device.report_counter || (report.counter == 0 && device.report_counter == 0))
    return ReportStanding::next;
  return report.counter == device.report_counter && digest == device.report_digest ? ReportStanding::repeated
                                                                                   : ReportStanding::stale;
}

Result<Applied> apply_report(store::Writer& writer, const store::Device& device, const wire::Report& report,
                             WallTime now) {
  Applied out;
  out.acked_seq = device.acked_seq;
  // A gap is no fault to insist on: a device that was long offline has dropped what is not final, and a server that was
  // brought back from a copy has forgotten what it once acknowledged. Refused, the report would come for ever.
  if (!report.events.empty() && report.events.front().seq > device.acked_seq + 1)
    log::info("events are missing",
              {{"device", device.view.id}, {"expected", device.acked_seq + 1}, {"first", report.events.front().seq}});
  for (const wire::Event& event : report.events) {
    if (event.seq <= out.acked_seq) continue;
    TRY(apply_event(writer, device, event, now, out.savings));
    out.acked_seq = event.seq;
    ++out.events;
  }
  if (out.events > 0) TRY(writer.devices.set_acked(device.no, out.acked_seq));
  // A report that was overtaken by a later one knows only what was installed then.
  const bool overtaken = !report.events.empty() && report.events.back().seq < out.acked_seq;
  if (!overtaken) TRY(writer.devices.replace_installed(device.no, report.installed));
  return out;
}

}  // namespace drover::api
