// Fills a server's database with active devices, as enrolment would leave them: the server must not run meanwhile.
//   fleet_fill DATABASE COUNT
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "common/crypto/ed25519.h"
#include "common/crypto/hash.h"
#include "common/rng/rng.h"
#include "server/store/store.h"

namespace {

using namespace drover;

constexpr std::int64_t kBatch = 20'000;  // of one transaction
constexpr std::int64_t kRegions = 20;

store::Device make_device(std::int64_t number, Rng& rng, WallTime now) {
  store::Device device;
  rng.fill(device.key);  // a key nobody holds: these devices never call
  device.view.id = crypto::device_id(device.key);
  device.view.name = "device-" + std::to_string(number);
  device.view.kind = number % 5 == 0 ? "sensor-x64" : "kiosk-x64";
  device.view.state = fleet::DeviceState::active;
  device.view.attributes = {{"agent", "0.1.0"}, {"region", "region-" + std::to_string(number % kRegions)}};
  device.enrolled_at = device.last_seen = now;
  device.identity_digest =
      crypto::sha256(wire::canonical_identity(device.view.name, device.view.kind, device.view.attributes))
          .hex()
          .substr(0, 16);
  return device;
}

Status fill(store::Store& store, std::int64_t count) {
  SeededRng rng(1);
  const WallTime now = system_clock().wall();
  for (std::int64_t done = 0; done < count; done += kBatch) {
    const std::int64_t end = std::min(count, done + kBatch);
    store::WriteFn<std::int64_t> batch = [&, done, end](store::Writer& writer) -> Result<std::int64_t> {
      for (std::int64_t i = done; i < end; ++i) {
        TRY(writer.devices.insert(make_device(i, rng, now)).within("device " + std::to_string(i)));
      }
      return end - done;
    };
    TRY(store.write_now(std::move(batch)));
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  store::StoreOptions options;
  options.file = argv[1];
  auto store = store::open_sqlite(options, system_clock());
  if (!store) {
    std::fprintf(stderr, "fleet_fill: %s\n", store.error().message().c_str());
    return 1;
  }
  const Status done = fill(**store, std::atoll(argv[2]));
  (*store)->stop();
  if (!done) std::fprintf(stderr, "fleet_fill: %s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
