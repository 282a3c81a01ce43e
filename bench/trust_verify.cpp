// What verification costs on one core: a full refresh of a device that knows only its first root, and bare Ed25519.
//   trust_verify refresh MODELS ROOTS ROUNDS   one line a round: milliseconds of the processor, signatures that were
//   checked trust_verify ed25519 SECONDS               verifications a second
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "common/crypto/ed25519.h"
#include "common/tuf/author.h"
#include "common/tuf/refresh.h"

namespace {

using namespace drover;

constexpr int kReleases = 20;    // of each model
constexpr int kKeysOfARole = 3;  // offline roles: two of three sign
constexpr int kBatch = 100;      // verifications between two looks at the clock
constexpr std::string_view kMessage = "sixty-four bytes, about what a challenge or a small report has..";

const WallTime kNow{std::chrono::seconds(1'800'000'000)};
const WallTime kExpires = kNow + std::chrono::hours(24);

// Of the processor, as `openssl speed` counts: what else runs on the machine does not count.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

class Memory final : public tuf::MetadataStore, public tuf::MetadataSource {
 public:
  Result<Bytes> load(std::string_view role) override {
    const auto found = stored.find(role);
    return found == stored.end() ? Result<Bytes>(Error(Code::not_found, std::string(role))) : found->second;
  }
  Status save(std::string_view role, ByteView bytes) override {
    stored[std::string(role)] = Bytes(bytes.begin(), bytes.end());
    return {};
  }
  Result<Bytes> fetch(std::string_view name, std::uint64_t) override {
    const auto found = served.find(name);
    return found == served.end() ? Result<Bytes>(Error(Code::not_found, std::string(name))) : found->second;
  }
  std::map<std::string, Bytes, std::less<>> stored, served;
};

// A fleet's repository: offline roles with two of three keys, online ones with one.
class Repository {
 public:
  Repository(int models, int roots) : rng_(1), timestamp_(pair()), snapshot_(pair()) {
    for (int i = 0; i < kKeysOfARole; ++i) offline_.push_back(pair());
    publish_roots(roots);
    tuf::MetaFiles meta;
    tuf::Document targets = tuf::make_targets(kExpires);
    for (int i = 0; i < models; ++i) add_model("model-" + std::to_string(i), targets, meta);
    meta["targets.json"] = put("1.targets.json", targets, 2);
    tuf::Document snapshot = tuf::make_snapshot(1, kExpires, meta);
    check(snapshot.sign(snapshot_));
    const tuf::MetaFile listed = put("1.snapshot.json", snapshot, 0);
    tuf::Document timestamp = tuf::make_timestamp(1, kExpires, kNow, listed);
    check(timestamp.sign(timestamp_));
    put("timestamp.json", timestamp, 0);
  }
  Memory memory;
  int signatures = 2;  // timestamp and snapshot

 private:
  static void check(const Status& status) {
    if (status) return;
    std::fprintf(stderr, "trust_verify: %s\n", status.error().message().c_str());
    std::exit(1);
  }
  crypto::KeyPair pair() { return crypto::KeyPair::generate(rng_); }
  std::vector<tuf::Key> offline_keys() const {
    std::vector<tuf::Key> keys;
    for (const crypto::KeyPair& key : offline_) keys.push_back(tuf::make_key(key.public_key()));
    return keys;
  }
  // Signs with the first `signers` of the offline keys.
  tuf::MetaFile put(const std::string& name, tuf::Document& document, int signers) {
    for (int i = 0; i < signers; ++i) check(document.sign(offline_[static_cast<std::size_t>(i)]));
    signatures += signers;
    const std::string encoded = document.encode();
    memory.served[name] = Bytes(encoded.begin(), encoded.end());
    return *tuf::Document::describe(memory.served[name]);
  }
  void publish_roots(int roots) {
    tuf::Document root = tuf::make_root(kExpires);
    for (const tuf::Key& key : offline_keys())
      for (const std::string_view role : {tuf::kRoot, tuf::kTargets}) check(tuf::add_root_key(root, role, key));
    for (const std::string_view role : {tuf::kRoot, tuf::kTargets}) check(tuf::set_root_threshold(root, role, 2));
    check(tuf::add_root_key(root, tuf::kTimestamp, tuf::make_key(timestamp_.public_key())));
    check(tuf::add_root_key(root, tuf::kSnapshot, tuf::make_key(snapshot_.public_key())));
    for (int version = 1; version <= roots; ++version) {
      if (version > 1) root.bump(kExpires);
      put(std::to_string(version) + ".root.json", root, 2);
      if (version > 1) signatures += 2;  // by the keys of the root before, and by its own
    }
    memory.stored["root"] = memory.served["1.root.json"];
  }
  void add_model(const std::string& name, tuf::Document& targets, tuf::MetaFiles& meta) {
    check(tuf::set_delegation(targets, tuf::model_delegation(name, offline_keys(), 2)));
    tuf::Document model = tuf::make_targets(kExpires);
    for (int release = 0; release < kReleases; ++release) {
      const std::string path = name + "/" + std::to_string(release);
      tuf::Target target{.length = 1000, .hashes = {{"sha256", crypto::sha256(path).hex()}}, .custom = nullptr};
      target.custom = tuf::release_custom_json({.release_counter = release, .kinds = {"kiosk-x64", "sensor-arm"}});
      check(tuf::add_target(model, path, target));
    }
    meta[name + ".json"] = put("1." + name + ".json", model, 2);
  }

  SeededRng rng_;
  crypto::KeyPair timestamp_, snapshot_;
  std::vector<crypto::KeyPair> offline_;
};

// The walk to the newest metadata, then every model's newest release, as a device with all of them would look them up.
Status refresh(Memory memory, int models) {
  TRY_ASSIGN(tuf::Refresh walk, tuf::Refresh::start(memory, kNow));
  TRY(tuf::run(walk, memory));
  for (int i = 0; i < models; ++i) {
    walk.find("model-" + std::to_string(i) + "/" + std::to_string(kReleases - 1));
    TRY(tuf::run(walk, memory));
    if (!walk.found()) return Error(Code::internal, "a release was not found");
  }
  return {};
}

int measure_refresh(int models, int roots, int rounds) {
  const Repository repository(models, roots);
  for (int i = 0; i < rounds; ++i) {
    const double begin = processor_seconds();
    if (Status status = refresh(repository.memory, models); !status) {
      std::fprintf(stderr, "trust_verify: %s\n", status.error().message().c_str());
      return 1;
    }
    std::printf("%.3f %d\n", (processor_seconds() - begin) * 1000, repository.signatures);
  }
  return 0;
}

int measure_ed25519(double seconds) {
  const crypto::KeyPair key = crypto::KeyPair::from_seed({7});
  const crypto::Signature signature = key.sign(kMessage);
  const double begin = processor_seconds();
  long count = 0;
  while (processor_seconds() - begin < seconds) {
    for (int i = 0; i < kBatch; ++i)
      if (!crypto::verify(key.public_key(), as_bytes(kMessage), signature)) return 1;
    count += kBatch;
  }
  std::printf("%.0f\n", static_cast<double>(count) / (processor_seconds() - begin));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> given(argv + 1, argv + argc);
  if (given.size() == 4 && given[0] == "refresh")
    return measure_refresh(std::stoi(given[1]), std::stoi(given[2]), std::stoi(given[3]));
  if (given.size() == 2 && given[0] == "ed25519") return measure_ed25519(std::stod(given[1]));
  std::fprintf(stderr, "usage: trust_verify refresh MODELS ROOTS ROUNDS | ed25519 SECONDS\n");
  return 1;
}
