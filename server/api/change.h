// The one way in which people change something: in one transaction the change, its line in the audit log, and the answer
// kept for a repetition with the same Idempotency-Key. Either all of it is stored or nothing.
#pragma once

#include <functional>
#include <string>

#include "server/api/call.h"

namespace drover::api {

struct Effect {
  int status = 200;
  std::string body;      // JSON, or empty
  std::string etag;      // with its quotes, or empty
  std::string action;    // for the audit log, "rollout.halt"; empty: nothing was changed, nothing is logged
  std::string subject;
  std::string detail;
  bool secret = false;   // the body holds a secret: it is not kept, a repetition is refused
};
Effect json_effect(int status, const nlohmann::json& body);

using ChangeFn = std::function<Result<Effect>(store::Writer& writer)>;

// `call` is looked at before the first suspension only. Errors of `fn` are passed on, and nothing is stored.
Answer change(Api& api, const Call& call, ChangeFn fn);

// A line of its own in the audit log, in the transaction that is open.
Status record(store::Writer& writer, const auth::Principal& who, const Effect& effect, WallTime now);
// What was refused, by whom and why, if the budget of server/api/refusals.h allows; in a transaction of its own.
boost::asio::awaitable<void> record_refusal(Api& api, const Call& call, Error why);

}  // namespace drover::api
