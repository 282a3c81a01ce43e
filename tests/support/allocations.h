// How much memory a piece of code has at most at once: every malloc of the program, of its libraries and of C++'s new
// while a Watch lives. Of one thread. Not under a sanitizer, which has a malloc of its own: then nothing is counted.
#pragma once

#include <cstddef>

namespace drover::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAllocationsAreCounted = false;
#else
inline constexpr bool kAllocationsAreCounted = true;
#endif

class AllocationWatch {
 public:
  AllocationWatch();  // one at a time
  ~AllocationWatch();
  AllocationWatch(const AllocationWatch&) = delete;
  AllocationWatch& operator=(const AllocationWatch&) = delete;
  std::size_t most() const;     // bytes at once, beyond those at the beginning
  std::size_t largest() const;  // bytes asked for at once
};

}  // namespace drover::test
