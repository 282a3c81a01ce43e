#include "common/rng/rng.h"

#include <sodium.h>

#include <algorithm>

#include <cstdlib>
#include <cstring>

namespace drover {
namespace {

class SystemRng final : public Rng {
 public:
  SystemRng() {
    if (sodium_init() < 0) std::abort();
  }
  void fill(std::span<std::uint8_t> out) override { randombytes_buf(out.data(), out.size()); }
};

}  // namespace

std::uint64_t Rng::next() {
  std::uint64_t value = 0;
  fill({reinterpret_cast<std::uint8_t*>(&value), sizeof value});
  return value;
}

std::uint64_t Rng::below(std::uint64_t bound) {
  if (bound == 0) return 0;
  const std::uint64_t rest = (0 - bound) % bound;  // 2^64 mod bound
  std::uint64_t value = next();
  while (value < rest) value = next();
  return value % bound;
}

Rng& system_rng() {
  static SystemRng rng;
  return rng;
}

void SeededRng::fill(std::span<std::uint8_t> out) {
  for (std::size_t i = 0; i < out.size();) {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
    const std::size_t n = std::min<std::size_t>(sizeof z, out.size() - i);
    std::memcpy(out.data() + i, &z, n);
    i += n;
  }
}

}  // namespace drover
