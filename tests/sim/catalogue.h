// What release managers have signed: the releases of this world, and what is hidden in each of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/rng/rng.h"
#include "tests/sim/queue.h"

namespace drover::sim {

enum class Nature : std::uint8_t {
  good,
  damaged,     // fails validation
  deadly,      // the device reboots while it is being validated
  unwell,      // once active, the application says that it is not well
  mute,        // once active, the application says nothing
  crash_loop,  // once active, the application comes and goes
};
std::string_view to_text(Nature nature);

struct Release {
  std::string model;
  std::string version;
  std::int64_t counter = 1;
  std::vector<std::string> kinds;  // sorted; those that it has a variant for
  Nature nature = Nature::good;
  std::string only_kind;  // the nature shows on this kind alone; empty: on all
  std::optional<Time> withdrawn_at;
  bool listed = true;  // false: nobody signed it; a stolen server may still name it

  Nature nature_on(std::string_view kind) const;
  bool has_variant(std::string_view kind) const;
  std::string package(std::string_view kind) const;  // "sha256:..."
  std::string index() const;
};

class Catalogue {
 public:
  Catalogue(Rng& rng, int models, const std::vector<std::string>& kinds);

  const std::vector<Release>& releases() const { return releases_; }
  const std::vector<std::string>& models() const { return models_; }
  const Release* find(std::string_view model, std::string_view version) const;
  // The release of a package, and the kind that it is for.
  struct Variant {
    const Release* release = nullptr;
    std::string kind;
  };
  Variant variant(const std::string& package) const;
  void withdraw(const std::string& model, const std::string& version, Time now);

 private:
  std::vector<std::string> models_;
  std::vector<Release> releases_;
  std::vector<std::pair<std::string, Variant>> packages_;  // sorted by digest; points into releases_
};

}  // namespace drover::sim
