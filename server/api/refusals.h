// Which refusals are written to the audit log. All of them are meant to be; but whoever has no right must not be able
// to fill the disk, so that each has a budget, and beyond it refusals are only counted (drover_refused_total).
// Thread-safe.
#pragma once

#include "server/api/throttle.h"
#include "server/auth/access.h"

namespace drover::api {

class Refusals {
 public:
  static constexpr int kOfPerson = 600;               // a minute, for each token
  static constexpr int kOfStranger = 25;              // a minute, for each address without a token and each device
  static constexpr int kOfStrangers = 1000;           // a minute, for all of them together
  static constexpr std::chrono::hours kGoneEvery{1};  // a decommissioned device asks for ever

  // Somebody was denied something: credentials, a right, or trust. Other errors are mistakes.
  static bool is_refusal(Code code);

  // Whether this one is written down; counts it.
  bool admits(const auth::Principal& who, std::string_view address, Code code, MonoTime now);

 private:
  Throttle people_{kOfPerson}, one_{kOfStranger}, all_{kOfStrangers}, gone_{1, kGoneEvery};
};

}  // namespace drover::api
