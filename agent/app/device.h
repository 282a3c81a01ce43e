// Who this device is: its key, in a file made at first start or in a token; and what time it is on a device whose clock
// may be wrong.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/store/layout.h"
#include "common/base/result.h"
#include "common/crypto/signer.h"
#include "common/fs/files.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"

namespace drover::agent {

// The setting device_key: empty for the file in the state folder, which is made (mode 0600) when there is none; another
// file, which must be there; or a pkcs11: URI of an Ed25519 key, whose PIN the URI names. Errors say what to do:
// permission_denied for a file that others may read, unsupported for another kind of key, those of
// common/crypto/pkcs11.h.
Result<std::unique_ptr<crypto::Signer>> device_key(const std::string& setting, const Layout& layout, fs::Files& files,
                                                   Rng& rng);

// What time it is, as far as this device can know. Three things tell: the machine's clock, the newest time that was
// signed (the build's at least), and the answers of the director to this device's own questions.
//   - Never before what was signed: that has passed.
//   - A clock that is believed is right otherwise.
//   - One that is not (no battery, no NTP: 1970, or 2100) gives way to the director's last answer, from which on time
//   runs
//     with the machine's monotonic clock. Until there is one, it is used as it is: a wrong one then refuses, and asks.
class DeviceClock final : public Clock {
 public:
  // The setting `clock`.
  enum class Belief {
    automatic,  // while the kernel calls it synchronised
    always,     // a good real-time clock, and no NTP
    never,      // there is none
  };
  static std::optional<Belief> belief_from_text(std::string_view text);

  DeviceClock(const Clock& machine, WallTime floor, Belief belief, std::function<bool()> synchronised)
      : machine_(machine), floor_(floor), belief_(belief), synchronised_(std::move(synchronised)) {}

  WallTime wall() const override;
  MonoTime mono() const override { return machine_.mono(); }
  // The machine's clock is believed, and not behind what must be true.
  bool believed() const;
  WallTime floor() const { return floor_; }
  // A signed time: never sinks.
  void raise(WallTime signed_time) { floor_ = std::max(floor_, signed_time); }
  // What the director answered to a question of now. Means nothing while the machine's clock is believed.
  void learn(WallTime told) { learned_ = Learned{told, machine_.mono()}; }
  // How far the machine's clock is off what is known to be true: negative when it is behind. Zero: nothing is known.
  std::chrono::seconds error() const;

 private:
  struct Learned {
    WallTime time{};
    MonoTime at{};
  };
  WallTime learned_now() const;

  const Clock& machine_;
  WallTime floor_;
  Belief belief_;
  std::function<bool()> synchronised_;
  std::optional<Learned> learned_;
};

WallTime build_time();

}  // namespace drover::agent
