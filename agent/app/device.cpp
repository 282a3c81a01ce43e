#include "agent/app/device.h"

#include <algorithm>

#include "common/crypto/key_file.h"
#include "common/crypto/pkcs11.h"

#ifndef DROVER_BUILD_TIME
#define DROVER_BUILD_TIME 0
#endif

namespace drover::agent {
namespace {

Status make_key(const std::string& path, const Layout& layout, fs::Files& files, Rng& rng) {
  // By way of another name: a power cut in the middle must not leave an empty key, which would be for ever.
  const std::string fresh = path + ".new";
  TRY(files.remove(fresh));
  TRY(crypto::save_key_file(fresh, crypto::KeyPair::generate(rng), "", rng).within("making the device's key"));
  TRY(files.rename(fresh, path));
  return files.sync_folder(layout.folder());
}

Result<std::unique_ptr<crypto::Signer>> token_key(const std::string& text) {
  TRY_ASSIGN(const crypto::Pkcs11Uri uri, crypto::parse_pkcs11_uri(text));
  TRY_ASSIGN(std::unique_ptr<crypto::Signer> signer, crypto::open_pkcs11(uri, {}));
  TRY(crypto::ed25519_key(signer->public_half()));
  return signer;
}

}  // namespace

Result<std::unique_ptr<crypto::Signer>> device_key(const std::string& setting, const Layout& layout, fs::Files& files,
                                                   Rng& rng) {
  if (crypto::is_pkcs11_uri(setting)) return token_key(setting).within("device_key");
  const std::string path = setting.empty() ? layout.device_key() : setting;
  if (setting.empty() && !fs::exists(files, path)) TRY(make_key(path, layout, files, rng));
  TRY_ASSIGN(crypto::KeyPair pair, crypto::load_key_file(path, "").within("reading the device's key"));
  return crypto::make_signer(std::move(pair));
}

std::optional<DeviceClock::Belief> DeviceClock::belief_from_text(std::string_view text) {
  if (text == "auto") return Belief::automatic;
  if (text == "trusted") return Belief::always;
  if (text == "untrusted") return Belief::never;
  return {};
}

bool DeviceClock::believed() const {
  if (belief_ == Belief::never || machine_.wall() < floor_) return false;
  return belief_ == Belief::always || (synchronised_ && synchronised_());
}

WallTime DeviceClock::learned_now() const {
  return learned_->time + std::chrono::duration_cast<std::chrono::seconds>(machine_.mono() - learned_->at);
}

WallTime DeviceClock::wall() const {
  const WallTime time = learned_ && !believed() ? learned_now() : machine_.wall();
  return std::max(time, floor_);
}

std::chrono::seconds DeviceClock::error() const {
  const WallTime machine = machine_.wall();
  if (learned_) return machine - std::max(learned_now(), floor_);
  return std::min(machine - floor_, std::chrono::seconds(0));
}

WallTime build_time() { return WallTime(std::chrono::seconds(DROVER_BUILD_TIME)); }

}  // namespace drover::agent
