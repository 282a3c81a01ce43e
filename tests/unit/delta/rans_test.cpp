#include "common/delta/rans.h"

#include <gtest/gtest.h>

#include "common/delta/stream.h"
#include "common/rng/rng.h"

namespace drover::delta {
namespace {

struct Sequence {
  std::vector<std::uint16_t> contexts;
  std::vector<std::uint8_t> symbols;
  Counts counts{5};
};

// Context c gives mostly small symbols, the smaller the higher c; context 4 is never used.
Sequence sample(std::size_t length, std::uint64_t seed) {
  Sequence s;
  SeededRng rng(seed);
  for (std::size_t i = 0; i < length; ++i) {
    const auto context = static_cast<std::uint16_t>(rng.below(4));
    const auto symbol = static_cast<std::uint8_t>(rng.below(1 + (rng.below(256) >> (2 * context))));
    s.contexts.push_back(context);
    s.symbols.push_back(symbol);
    s.counts.add(context, symbol);
  }
  return s;
}

TEST(RansTest, symbols_come_back_at_about_the_cost_that_the_model_says) {
  for (std::size_t length : {0, 1, 2, 1000, 50'000}) {
    const Sequence s = sample(length, length);
    const Model model = Model::from_counts(s.counts);
    Bytes bytes;
    RansEncoder(model).encode(s.contexts, s.symbols, bytes);
    EXPECT_LE(double(bytes.size()), model.cost_bits(s.counts) / 8 * 1.001 + 20);
    const RansTables tables(model);
    const std::size_t size = bytes.size();
    bytes.resize(size + kReadAhead);
    auto decoder = RansDecoder::start(bytes, size, length);
    ASSERT_TRUE(decoder);
    auto other = *decoder;
    for (std::size_t i = 0; i < length; ++i) ASSERT_EQ(decoder->next(tables.of(s.contexts[i])), s.symbols[i]) << i;
    EXPECT_TRUE(decoder->finished());
    std::vector<std::int32_t> symbols(length);  // in runs of odd lengths
    std::vector<const RansTable*> wanted;
    for (std::uint16_t context : s.contexts) wanted.push_back(&tables.of(context));
    for (std::size_t i = 0, n = 1; i < length; i += n, n = std::min(length - i, n * 3 % 101))
      other.run(std::span(wanted).subspan(i, n), symbols.data() + i);
    EXPECT_TRUE(std::equal(symbols.begin(), symbols.end(), s.symbols.begin(), s.symbols.end()));
    EXPECT_TRUE(other.finished());
  }
}

TEST(RansTest, a_symbol_that_is_certain_costs_nothing) {
  Counts counts(1);
  for (int i = 0; i < 1000; ++i) counts.add(0, 7);
  const Model model = Model::from_counts(counts);
  Bytes bytes;
  RansEncoder(model).encode(std::vector<std::uint16_t>(1000, 0), std::vector<std::uint8_t>(1000, 7), bytes);
  EXPECT_EQ(bytes.size(), 4U);
}

TEST(RansTest, tables_come_back_and_damaged_ones_are_refused) {
  const Model model = Model::from_counts(sample(5000, 3).counts);
  Bytes bytes;
  model.write(bytes);
  const auto back = Model::read(bytes, 5);
  ASSERT_TRUE(back);
  for (std::size_t c = 0; c < 5; ++c)
    for (std::size_t s = 0; s < kSymbols; ++s) ASSERT_EQ(back->frequency(c, s), model.frequency(c, s));
  EXPECT_FALSE(Model::read(bytes, 4));
  EXPECT_FALSE(Model::read(ByteView(bytes).first(bytes.size() - 1), 5));
  SeededRng rng(4);
  for (int i = 0; i < 5000; ++i) {
    Bytes damaged = bytes;
    damaged[rng.below(damaged.size())] = static_cast<std::uint8_t>(rng.next());
    const auto read = Model::read(damaged, 5);
    if (!read) continue;
    const RansTables tables(*read);  // whatever is accepted must be whole: every slot filled
    for (std::size_t c = 0; c < 5; ++c)
      for (std::uint8_t symbol : tables.of(c).symbol) EXPECT_NE(tables.of(c).start_frequency[symbol] & 0xffff, 0U);
  }
}

// By hand: runs, and for each its gap, its length and its frequencies.
TEST(RansTest, tables_that_no_encoder_writes_are_refused) {
  const auto numbers = [](std::initializer_list<std::uint64_t> values) {
    Bytes out;
    for (std::uint64_t value : values) put_varint(out, value);
    return out;
  };
  EXPECT_TRUE(Model::read(numbers({1, 7, 2, 4000, 96}), 1));
  EXPECT_TRUE(Model::read(numbers({2, 0, 1, 4000, 254, 1, 96}), 1)) << "the first symbol and the last";
  EXPECT_FALSE(Model::read(numbers({2, 0, 1, 4000, 255, 1, 96}), 1)) << "one behind the last";
  EXPECT_FALSE(Model::read(numbers({1, 0, 257}), 1)) << "more symbols than there are";
  EXPECT_FALSE(Model::read(numbers({2, 0, 0, 0, 1, 4096}), 1)) << "a run of nothing";
  EXPECT_FALSE(Model::read(numbers({1, 0, 2, 4096, 0}), 1)) << "a symbol in a run that never comes";
  EXPECT_FALSE(Model::read(numbers({1, 0, 1, 4095}), 1)) << "a sum too small";
  EXPECT_FALSE(Model::read(numbers({1, 0, 2, 4000, 97}), 1)) << "a sum too large";
  EXPECT_FALSE(Model::read(numbers({1, 0, 1, 4096, 0}), 1)) << "bytes behind the end";
  Bytes round = numbers({1, 0, 17});  // 16 times 2^28 - 1, and what is left to 2^32 + 4096
  for (int i = 0; i < 16; ++i) put_varint(round, (1U << 28) - 1);
  put_varint(round, kProbTotal + 16);
  EXPECT_FALSE(Model::read(round, 1)) << "a sum that turns round";
  EXPECT_FALSE(Model::read(Bytes{0x81, 0x80, 0x80, 0x80, 0x00, 0, 1, 0x80, 0x20}, 1)) << "a number of five bytes";
  EXPECT_FALSE(Model::read_used(numbers({0, 0}), 3)) << "a context that is told and not used";
  EXPECT_FALSE(Model::read_used(numbers({3, 1, 0, 1, 4096}), 3)) << "a context behind the last";
  EXPECT_TRUE(Model::read_used(numbers({2, 1, 0, 1, 4096}), 3));
}

TEST(RansTest, a_flipped_bit_is_nearly_always_found_at_the_end) {
  const Sequence s = sample(300, 8);
  const Model model = Model::from_counts(s.counts);
  const RansTables tables(model);
  Bytes bytes;
  RansEncoder(model).encode(s.contexts, s.symbols, bytes);
  const std::size_t size = bytes.size();
  bytes.resize(size + kReadAhead);
  std::size_t found = 0;
  for (std::size_t bit = 0; bit < 8 * size; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    auto decoder = RansDecoder::start(damaged, size, s.symbols.size());
    ASSERT_TRUE(decoder);
    for (std::uint16_t context : s.contexts) (void)decoder->next(tables.of(context));
    found += decoder->finished() ? 0 : 1;
  }
  EXPECT_GT(found, 8 * size * 95 / 100);
}

TEST(RansTest, reading_beyond_the_end_is_no_end_however_the_states_stand) {
  Model model(1);
  std::array<std::uint16_t, kSymbols> rare{};
  rare[0] = 1;
  rare[1] = kProbTotal - 1;
  model.set(0, rare);
  const RansTables tables(model);
  Bytes bytes;
  put_fixed(bytes, kProbTotal,
            4);  // below every state that an encoder leaves: one symbol on it is 2^16, and two bytes too few
  bytes.resize(4 + kReadAhead);
  auto decoder = RansDecoder::start(bytes, 4, 1);
  ASSERT_TRUE(decoder);
  EXPECT_EQ(decoder->next(tables.of(0)), 0);
  EXPECT_FALSE(decoder->finished());
  EXPECT_FALSE(RansDecoder::start(bytes, 3, 1));
}

TEST(RansTest, tables_of_many_contexts_take_bytes_only_for_those_in_use) {
  const Model few = Model::from_counts(sample(5000, 3).counts);
  Model many(300);
  many.set(7, few.of(1));
  many.set(250, few.of(2));
  Bytes bytes;
  many.write_used(bytes);
  EXPECT_LT(bytes.size(), 600U);
  const auto back = Model::read_used(bytes, 300);
  ASSERT_TRUE(back);
  for (std::size_t c = 0; c < 300; ++c)
    ASSERT_TRUE(std::equal(back->of(c).begin(), back->of(c).end(), many.of(c).begin())) << c;
  EXPECT_FALSE(Model::read_used(bytes, 250));
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const auto cut = Model::read_used(ByteView(bytes).first(size), 300);
    EXPECT_FALSE(cut.has_value() && cut->used(250)) << size;
  }
}

TEST(RansTest, rare_symbols_keep_a_place_however_rare) {
  Counts counts(1);
  for (int s = 0; s < 256; ++s) counts.add(0, static_cast<std::uint8_t>(s));
  for (int i = 0; i < 1'000'000; ++i) counts.add(0, 0);
  const Model model = Model::from_counts(counts);
  std::uint32_t total = 0;
  for (std::size_t s = 0; s < kSymbols; ++s) {
    EXPECT_GE(model.frequency(0, s), 1);
    total += model.frequency(0, s);
  }
  EXPECT_EQ(total, kProbTotal);
}

TEST(BitsTest, come_back_in_order_and_the_end_is_known) {
  Bytes bytes;
  BitWriter writer(bytes);
  SeededRng rng(5);
  std::vector<std::pair<std::uint32_t, unsigned>> written;
  for (int i = 0; i < 3000; ++i) {
    const auto bits = static_cast<unsigned>(rng.below(33));
    const auto value = static_cast<std::uint32_t>(rng.next() & ((std::uint64_t{1} << bits) - 1));
    written.emplace_back(value, bits);
    writer.put(value, bits);
  }
  writer.flush();
  const std::size_t size = bytes.size();
  bytes.resize(size + kReadAhead);
  BitReader reader(bytes, size);
  for (const auto& [value, bits] : written) {
    BitReader skipping = reader;
    ASSERT_EQ(reader.take(bits), value);
    ASSERT_EQ(skipping.skip(bits) & ((std::uint64_t{1} << bits) - 1), value);
    ASSERT_EQ(skipping.left(), reader.left());
  }
  EXPECT_TRUE(reader.finished());
  reader.take(32);
  EXPECT_FALSE(reader.finished());
}

TEST(BitsTest, are_all_to_be_used) {
  const Bytes bytes(3 + kReadAhead);
  BitReader early(bytes, 3), late(bytes, 3), odd(bytes, 3);
  early.take(16);
  EXPECT_FALSE(early.finished()) << "a whole byte is left";
  late.take(20);
  EXPECT_TRUE(late.finished()) << "what fills the last byte up";
  odd.take(25);
  EXPECT_FALSE(odd.finished());
  Bytes last = bytes;
  last[2] = 0x80;
  BitReader filled(last, 3);
  filled.take(20);
  EXPECT_FALSE(filled.finished()) << "nothing but zeros fills it up";
}

}  // namespace
}  // namespace drover::delta
