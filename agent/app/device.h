// Who this device is: its key, made at first start, and its clock, which never steps back.
#pragma once

#include <string>

#include "agent/store/layout.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "common/fs/files.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"

namespace drover::agent {

// Loads the key, or makes and stores one (mode 0600) when there is none.
Result<crypto::KeyPair> device_key(const Layout& layout, fs::Files& files, Rng& rng);

// The machine's clock, but never before what is known to have passed: the time of the build, the newest signed time.
class FlooredClock final : public Clock {
 public:
  FlooredClock(const Clock& inner, WallTime floor) : inner_(inner), floor_(floor) {}
  WallTime wall() const override { return std::max(inner_.wall(), floor_); }
  MonoTime mono() const override { return inner_.mono(); }
  void raise(WallTime floor) { floor_ = std::max(floor_, floor); }
  // The machine's clock is behind what must be true.
  bool behind() const { return inner_.wall() < floor_; }

 private:
  const Clock& inner_;
  WallTime floor_;
};

WallTime build_time();

}  // namespace drover::agent
