// A device's report: events stored, deployments moved, counters of rollouts with them, each event exactly once.
#pragma once

#include "common/base/result.h"
#include "proto/wire/deltas.h"
#include "proto/wire/device.h"
#include "server/store/store.h"

namespace drover::api {

// The device key's signature over the payload, then its form, then that it names this device.
// bad_signature, malformed, wrong_device.
Result<wire::Report> open_report(const wire::SignedReport& signed_report, const store::Device& device);

// How a signed report stands to the last one that was taken, by its counter and its payload's digest. Pure.
enum class ReportStanding : std::uint8_t {
  next,      // goes on: to be taken
  repeated,  // the very same once more: its answer was lost
  stale,     // an older one, or another one under a counter that was used
};
ReportStanding standing_of_report(const store::Device& device, const wire::Report& report, std::string_view digest);

// Events up to device.acked_seq are passed over (they were counted before); a gap is noted and accepted. Everything
// moves in the open transaction. Gives the highest stored number, and how many events were new.
struct Applied {
  std::uint64_t acked_seq = 0;
  std::size_t events = 0;
  wire::Savings savings;  // of the deployments that ended with this report
};
Result<Applied> apply_report(store::Writer& writer, const store::Device& device, const wire::Report& report,
                             WallTime now);

}  // namespace drover::api
