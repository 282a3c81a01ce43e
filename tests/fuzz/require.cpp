#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/fuzz.h"

namespace drover::fuzz {

void require(bool holds, std::string_view promise) {
  if (holds) return;
  std::fprintf(stderr, "a promise is broken: %.*s\n", static_cast<int>(promise.size()), promise.data());
  std::abort();
}

}  // namespace drover::fuzz
