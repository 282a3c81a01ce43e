// For the loops over elements that are the whole cost: compiled a second time for processors with wider vectors, with
// the same results (no fused multiply-add in either).
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define DROVER_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define DROVER_WIDE
#endif

#if defined(__GNUC__)
#define DROVER_INLINE inline __attribute__((always_inline))
#else
#define DROVER_INLINE inline
#endif

// Before a loop whose arrays do not overlap.
#if defined(__GNUC__) && !defined(__clang__)
#define DROVER_NO_OVERLAP _Pragma("GCC ivdep")
#else
#define DROVER_NO_OVERLAP
#endif
