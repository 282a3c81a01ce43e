// Where things lie in the agent's state folder. Pure: names only.
//
//   agent.db  device.key  lock  agent.sock
//   metadata/<role>.json       trusted TUF files, exactly as received; root.copy is a second root.json
//   blobs/<hex>                verified files of packages, 0444; also manifests and indexes
//   staging/<hex>.part         a download under way, with its journal <hex>.journal
//   staging/<hex>.from-<base hex>.delta   the same of a delta; <hex>.applied is what is made of it
//   staging/<hex>.<bytes>.between   made in the middle of a chain of deltas, which have cost so many bytes so far;
//                              p<bytes>: the chain began with a packed file
//   staging/<hex>/             a package that is being put together
//   packages/<hex>/            a complete package, read-only; hex is the digest of its manifest
//   generations/<n>/<model>    -> ../../packages/<hex>
//   current                    -> generations/<n>
//   box.key                    opens sealed content keys
//   sealed/<hex>               the content key of a confidential package, sealed
//   open/<hex>/                a confidential package as links to files in the agent's memory
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace drover::agent {

class Layout {
 public:
  explicit Layout(std::string folder) : folder_(std::move(folder)) {}

  const std::string& folder() const { return folder_; }
  std::string database() const { return folder_ + "/agent.db"; }
  std::string device_key() const { return folder_ + "/device.key"; }
  std::string lock() const { return folder_ + "/lock"; }
  std::string socket() const { return folder_ + "/agent.sock"; }
  std::string metadata() const { return folder_ + "/metadata"; }
  std::string blobs() const { return folder_ + "/blobs"; }
  std::string blob(std::string_view digest) const { return blobs() + "/" + hex(digest); }
  std::string staging() const { return folder_ + "/staging"; }
  std::string part(std::string_view digest) const { return staging() + "/" + hex(digest) + ".part"; }
  std::string journal(std::string_view digest) const { return staging() + "/" + hex(digest) + ".journal"; }
  std::string delta(std::string_view target, std::string_view base) const {
    return staging() + "/" + hex(target) + ".from-" + hex(base) + ".delta";
  }
  std::string applied(std::string_view digest) const { return staging() + "/" + hex(digest) + ".applied"; }
  std::string between(std::string_view digest, std::uint64_t paid, bool packed = false) const {
    return staging() + "/" + hex(digest) + (packed ? ".p" : ".") + std::to_string(paid) + std::string(kBetween);
  }
  static constexpr std::string_view kBetween = ".between";
  std::string staged_package(std::string_view digest) const { return staging() + "/" + hex(digest); }
  std::string packages() const { return folder_ + "/packages"; }
  std::string package(std::string_view digest) const { return packages() + "/" + hex(digest); }
  std::string generations() const { return folder_ + "/generations"; }
  std::string generation(std::uint64_t number) const { return generations() + "/" + std::to_string(number); }
  std::string current() const { return folder_ + "/current"; }
  std::string current(std::string_view model) const { return current() + "/" + std::string(model); }

  std::string box_key() const { return folder_ + "/box.key"; }
  std::string sealed_keys() const { return folder_ + "/sealed"; }
  std::string sealed_key(std::string_view digest) const { return sealed_keys() + "/" + hex(digest); }
  std::string opened() const { return folder_ + "/open"; }
  std::string opened(std::string_view digest) const { return opened() + "/" + hex(digest); }

  // "sha256:ab.." -> "ab.."
  static std::string hex(std::string_view digest) { return std::string(digest.substr(digest.find(':') + 1)); }

 private:
  std::string folder_;
};

}  // namespace drover::agent
