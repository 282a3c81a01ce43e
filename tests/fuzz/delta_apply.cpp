// Deltas from anywhere, applied to a base and looked at. Bounded whatever they say: `./run fuzz` also limits what one
// allocation may ask for (tests/fuzz/fuzz.py).
#include <cstring>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/models.h"

namespace drover::fuzz {
namespace {

constexpr std::uint64_t kMaxTarget = 1 << 20;

class Counting final : public delta::ByteSink {
 public:
  Status write(ByteView bytes) override {
    written += bytes.size();
    require(written <= kMaxTarget, "no more is written than the manifest allows");
    return {};
  }
  std::uint64_t written = 0;
};

// The same with a place, where a stretch is decoded.
class InPlace final : public delta::ByteSink {
 public:
  Status write(ByteView more) override {
    require(more.size() <= kMaxTarget - made_, "no more is written than the manifest allows");
    std::copy(more.begin(), more.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(made_));
    made_ += more.size();
    return {};
  }
  std::span<std::uint8_t> place(std::uint64_t size) override {
    require(size <= kMaxTarget - made_, "no more room is asked for than the manifest allows");
    return std::span(bytes_).subspan(made_, static_cast<std::size_t>(size));
  }
  Status filled(std::size_t count) override {
    require(count <= kMaxTarget - made_, "no more is filled than there is");
    made_ += count;
    return {};
  }

 private:
  Bytes bytes_ = Bytes(kMaxTarget);
  std::size_t made_ = 0;
};

// The base that the header names, or the one of its first byte; of the size that it names where that is possible.
ByteView base_for(ByteView input) {
  static const std::vector<Pair> pairs = model_pairs();
  delta::MemorySource source(input);
  delta::NumberReader in(source);
  const auto header = delta::read_header(in);
  if (!header || header->base_size == 0) return {};
  for (const Pair& pair : pairs)
    if (crypto::sha256(ByteView(pair.before)) == header->base) return pair.before;
  const Bytes& base = pairs[header->base.raw()[0] % pairs.size()].before;
  return ByteView(base).first(static_cast<std::size_t>(std::min<std::uint64_t>(header->base_size, base.size())));
}

}  // namespace

void run(ByteView input) {
  delta::MemorySource source(input), again(input), third(input);
  Counting sink;
  delta::ApplyLimits limits;
  limits.max_target = kMaxTarget;
  const bool applied = delta::apply_delta(source, base_for(input), limits, sink).has_value();
  const auto contents = delta::inspect_delta(again);
  InPlace place;
  require(delta::apply_delta(third, base_for(input), limits, place).has_value() == applied,
          "a place makes no difference");
  if (!applied) return;
  require(contents.has_value() && contents->header.target_size == sink.written, "what is applied can be inspected");
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds;
  for (const Pair& pair : model_pairs())
    for (const ByteView base : {ByteView(pair.before), ByteView()}) {
      delta::MemorySink sink;
      require(delta::make_delta(base, pair.after, sink).has_value(), "a delta is made");
      seeds.push_back(text_of(sink.bytes));
    }
  seeds.push_back(text_of(delta::testing::stretch_delta(model_pairs().back().after)));
  return seeds;
}

}  // namespace drover::fuzz
