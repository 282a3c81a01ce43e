#include "server/api/refusals.h"

namespace drover::api {
namespace {

bool take(Throttle& budget, std::string_view key, MonoTime now) {
  if (!budget.allows(key, now)) return false;
  budget.failed(key, now);
  return true;
}

}  // namespace

bool Refusals::is_refusal(Code code) {
  const int number = static_cast<int>(code);
  return code == Code::unauthenticated || code == Code::permission_denied || code == Code::rate_limited ||
         code == Code::gone || (number >= 100 && number < 200);
}

bool Refusals::admits(const auth::Principal& who, std::string_view address, Code code, MonoTime now) {
  if (who.kind == auth::Principal::Kind::person) return take(people_, who.id, now);
  const bool device = who.kind == auth::Principal::Kind::device;
  if (device && code == Code::gone) return take(gone_, who.id, now);
  return take(one_, device ? std::string_view(who.id) : address, now) && take(all_, "", now);
}

}  // namespace drover::api
