// Any two files: the delta between them brings the second back. The first two bytes say where the first file ends.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/models.h"

namespace drover::fuzz {

void run(ByteView input) {
  if (input.size() < 2) return;
  const std::size_t split = std::min<std::size_t>(input[0] | static_cast<std::size_t>(input[1]) << 8, input.size() - 2);
  const ByteView base = input.subspan(2, split), target = input.subspan(2 + split);
  delta::MemorySink made;
  require(delta::make_delta(base, target, made).has_value(), "there is a delta between any two files");
  delta::MemorySource source(made.bytes);
  delta::MemorySink out;
  require(delta::apply_delta(source, base, {}, out).has_value(), "and it can be applied");
  require(std::equal(out.bytes.begin(), out.bytes.end(), target.begin(), target.end()), "and gives the second");
  require(source.left() == 0, "and nothing is left over");
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds;
  for (const Pair& pair : model_pairs()) {
    std::string text;
    text += static_cast<char>(pair.before.size() & 255);
    text += static_cast<char>(pair.before.size() >> 8);
    seeds.push_back(text + text_of(pair.before) + text_of(pair.after));
  }
  return seeds;
}

}  // namespace drover::fuzz
