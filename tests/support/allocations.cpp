#include "tests/support/allocations.h"

#include <malloc.h>

#include <algorithm>

namespace drover::test {
namespace {

bool watching = false;
std::ptrdiff_t held = 0, peak = 0;
std::size_t largest_asked = 0;

}  // namespace

// Called by the functions below.
void* note_taken(void* memory, std::size_t asked) {
  if (!watching) return memory;
  largest_asked = std::max(largest_asked, asked);
  held += memory == nullptr ? 0 : static_cast<std::ptrdiff_t>(::malloc_usable_size(memory));
  peak = std::max(peak, held);
  return memory;
}
void note_given_back(void* memory) {
  if (watching && memory != nullptr) held -= static_cast<std::ptrdiff_t>(::malloc_usable_size(memory));
}

AllocationWatch::AllocationWatch() {
  held = peak = 0;
  largest_asked = 0;
  watching = true;
}
AllocationWatch::~AllocationWatch() { watching = false; }
std::size_t AllocationWatch::most() const { return static_cast<std::size_t>(peak); }
std::size_t AllocationWatch::largest() const { return largest_asked; }

}  // namespace drover::test

#if !defined(__SANITIZE_ADDRESS__)
// In the place of glibc's, for the whole program; those lie behind these names.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the names are glibc's
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void __libc_free(void* memory);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(std::size_t size) { return drover::test::note_taken(__libc_malloc(size), size); }
void* calloc(std::size_t count, std::size_t size) {
  return drover::test::note_taken(__libc_calloc(count, size), count * size);
}
void* realloc(void* memory, std::size_t size) {
  drover::test::note_given_back(memory);
  return drover::test::note_taken(__libc_realloc(memory, size), size);
}
void free(void* memory) {
  drover::test::note_given_back(memory);
  __libc_free(memory);
}
}
#endif
