// A fuzz target as a test: its seeds, then every file of the folders and every file that is named, then small damages
// of the seeds. It ends with 0, or by the fault itself.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "common/rng/rng.h"
#include "tests/fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;

constexpr int kDamagesOfASeed = 100;  // a second or two in all, sanitizers included

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (path.extension() != ".hex") return bytes;
  std::erase_if(bytes, [](char c) { return c == '\n' || c == ' '; });
  const auto raw = drover::from_hex(bytes);
  drover::fuzz::require(raw.has_value(), path.string() + " is not hexadecimal");
  return drover::fuzz::text_of(*raw);
}

void run(const std::string& input) { drover::fuzz::run(drover::as_bytes(input)); }

// Bytes changed, a piece repeated, a piece taken out, cut short.
std::string damage(std::string text, drover::Rng& rng) {
  for (std::uint64_t changes = 1 + rng.below(4); changes > 0 && !text.empty(); --changes) {
    const std::size_t at = rng.below(text.size()), length = rng.below(std::min<std::size_t>(text.size() - at, 32) + 1);
    switch (rng.below(5)) {
      case 0:
        text[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ static_cast<char>(1U << rng.below(8)));
        break;
      case 2:
        text.insert(rng.below(text.size()), text.substr(at, length));
        break;
      case 3:
        text.erase(at, length);
        break;
      default:
        if (rng.below(4) == 0) text.resize(at);
    }
  }
  return text;
}

std::set<fs::path> files_of(int count, char** names) {
  std::set<fs::path> files;
  for (int i = 1; i < count; ++i) {
    if (!fs::is_directory(names[i])) {
      files.insert(names[i]);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(names[i])) files.insert(entry.path());
  }
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  const auto seeds = drover::fuzz::seeds();
  drover::SeededRng rng(7);
  for (const std::string& seed : seeds) run(seed);
  const auto files = files_of(argc, argv);
  for (const fs::path& file : files) {
    std::printf("%s\n", file.c_str());  // the last line before a fault names its file
    std::fflush(stdout);
    run(read(file));
  }
  for (const std::string& seed : seeds)
    for (int i = 0; i < kDamagesOfASeed; ++i) run(damage(seed, rng));
  std::printf("%zu seeds, %zu files\n", seeds.size(), files.size());
  return seeds.empty() ? 1 : 0;
}
