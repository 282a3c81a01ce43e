// libFuzzer's two entries. `--write-seeds=FOLDER` writes the target's seeds and ends.
#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  drover::fuzz::run({data, size});
  return 0;
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--write-seeds=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (!argument.starts_with(kOption)) continue;
    int number = 0;
    for (const std::string& seed : drover::fuzz::seeds()) {
      std::ofstream out(std::string(argument.substr(kOption.size())) + "/seed-" + std::to_string(number++),
                        std::ios::binary);
      out << seed;
      if (!out) std::exit(1);
    }
    std::exit(0);
  }
  return 0;
}
