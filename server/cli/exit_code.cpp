#include "server/cli/exit_code.h"

namespace drover::cli {

const std::vector<ExitCodeRow>& exit_code_rows() {
  static const std::vector<ExitCodeRow> kRows = {
      {kOk, "done; for a rollout: completed or on its way"},
      {kFailed, "tried and did not succeed"},
      {kUsage, "the command line, or a file that it names, is wrong; nothing was sent"},
      {kNotFound, "there is no such thing"},
      {kNoPermission, "credentials are missing, wrong, or without the right"},
      {kConflict, "exists already, or the state has moved on"},
      {kUnreachable, "the server does not answer, or asks to come back later"},
      {kHalted, "the rollout is halted"},
      {kAwaiting, "the rollout waits for a person to promote it"},
      {kGivenUp, "the rollout was aborted or rolled back"},
      {kNotYet, "--timeout passed before the rollout got there"},
      {kAttention, "trust doctor found something that should be done"},
      {kExpired, "trust doctor found something that has expired: devices take nothing new"},
  };
  return kRows;
}

int exit_code(Code code) {
  switch (code) {
    case Code::ok:
      return kOk;
    case Code::invalid_argument:
      return kUsage;
    case Code::not_found:
      return kNotFound;
    case Code::unauthenticated:
    case Code::permission_denied:
      return kNoPermission;
    case Code::already_exists:
    case Code::conflict:
    case Code::precondition_failed:
    case Code::metadata_rollback:
      return kConflict;
    case Code::unavailable:
    case Code::timeout:
      return kUnreachable;
    default:
      return kFailed;
  }
}

int exit_code(wire::RolloutState state) {
  switch (state) {
    case wire::RolloutState::halted:
      return kHalted;
    case wire::RolloutState::awaiting_promotion:
      return kAwaiting;
    case wire::RolloutState::aborted:
    case wire::RolloutState::rolled_back:
      return kGivenUp;
    default:
      return kOk;
  }
}

}  // namespace drover::cli
