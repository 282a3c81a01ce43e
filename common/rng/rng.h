// The seam for randomness. Keys, nonces and jitter come from here; simulation gives a seeded one.
#pragma once

#include <cstdint>
#include <span>

namespace drover {

class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;

  std::uint64_t next();
  // Uniform in [0, bound); 0 for bound 0. No modulo bias.
  std::uint64_t below(std::uint64_t bound);
};

// The kernel's generator (through libsodium). Thread-safe, lives for the whole process.
Rng& system_rng();

// A repeatable stream from a seed (SplitMix64). For tests and simulation; never for keys.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::uint64_t state_;
};

}  // namespace drover
