// A fuzz target is one file that defines the two functions below. `./run fuzz` links it with libFuzzer under
// AddressSanitizer and UndefinedBehaviorSanitizer; the ordinary build links it with replay.cpp into a unit test, which
// runs the seeds, everything under corpus/<target>/ and a number of small damages through it, so that no target rots.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"

namespace drover::fuzz {

// One input, whatever it holds. Returns; a promise that does not hold ends the process (require).
void run(ByteView input);
// Valid inputs to begin with, made with the project's own writers, so that they follow the formats.
std::vector<std::string> seeds();

// Aborts with the sentence when the promise is broken: fuzzer and test then report the input.
void require(bool holds, std::string_view promise);

inline std::string text_of(ByteView bytes) { return std::string(as_text(bytes)); }

}  // namespace drover::fuzz
