#include "agent/app/device.h"

#include "common/crypto/key_file.h"

#ifndef DROVER_BUILD_TIME
#define DROVER_BUILD_TIME 0
#endif

namespace drover::agent {

Result<crypto::KeyPair> device_key(const Layout& layout, fs::Files& files, Rng& rng) {
  const std::string path = layout.device_key();
  if (!fs::exists(files, path)) {
    // By way of another name: a power cut in the middle must not leave an empty key, which would be for ever.
    const std::string fresh = path + ".new";
    TRY(files.remove(fresh));
    TRY(crypto::save_key_file(fresh, crypto::KeyPair::generate(rng), "", rng).within("making the device's key"));
    TRY(files.rename(fresh, path));
    TRY(files.sync_folder(layout.folder()));
  }
  return crypto::load_key_file(path, "").within("reading the device's key");
}

WallTime build_time() { return WallTime(std::chrono::seconds(DROVER_BUILD_TIME)); }

}  // namespace drover::agent
