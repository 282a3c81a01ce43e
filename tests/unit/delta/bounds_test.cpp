// What the decoder refuses, each by a delta that breaks one rule and no other, written by hand. The sentence of the
// error tells that it was this rule; that a damaged delta fails somewhere is seen in delta_test.cpp.
#include <gtest/gtest.h>
#include <zstd.h>

#include "common/delta/grid.h"
#include "common/delta/numbers.h"
#include "common/delta/parameters.h"
#include "common/delta/rans.h"
#include "common/delta/tables.h"
#include "common/delta/tensor_model.h"
#include "tests/support/expect.h"
#include "tests/unit/delta/hand_made.h"
#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

using testing::Hand;
using testing::header_of;

constexpr std::size_t kMiB = 1 << 20;
constexpr std::uint64_t kTooLarge = (std::uint64_t{1} << 40) + 1;
constexpr int kEnd = 0, kCopy = 1, kRaw = 2, kZstd = 3, kPrefix = 4, kTensor = 5;
constexpr int kF32 = 0, kF16 = 1, kI8 = 3, kWithBase = 0x80;
constexpr int kDifference = 0, kAlone = 1, kGrid = 2;

Bytes noise(std::size_t size) {
  Bytes out(size);
  SeededRng(7).fill(out);
  return out;
}

struct Applied {
  Status status;
  Bytes made;
};

// The segments in `body`, and the end, for a target of `size` bytes.
Applied apply(const Hand& body, ByteView base, std::size_t size = 4096) {
  Hand delta = header_of(base, Bytes(size));
  delta.more(body.bytes).byte(kEnd);
  MemorySource source(delta.bytes);
  MemorySink sink;
  Status status = apply_delta(source, base, {}, sink);
  return {std::move(status), std::move(sink.bytes)};
}

void expect_refused(const Hand& body, ByteView base, const std::string& why, std::size_t size = 4096) {
  const Applied applied = apply(body, base, size);
  ASSERT_FALSE(applied.status) << why;
  EXPECT_EQ(applied.status.error().code(), Code::malformed) << why;
  EXPECT_NE(applied.status.error().message().find(why), std::string::npos)
      << "\"" << why << "\" was expected, and came: " << applied.status.error().message();
  EXPECT_LE(applied.made.size(), size) << why;
}

// --- the header ------------------------------------------------------------------------------------------------------
TEST(BoundsTest, another_magic_or_version_is_told_apart) {
  const Bytes target = noise(100);
  for (const std::size_t at : {0, 4}) {
    Hand delta = header_of({}, target);
    delta.bytes[at] ^= 8;
    delta.byte(kRaw).number(100).more(target).byte(kEnd);
    MemorySource source(delta.bytes);
    MemorySink sink;
    const Status status = apply_delta(source, {}, {}, sink);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), at == 0 ? Code::malformed : Code::unsupported);
    EXPECT_TRUE(sink.bytes.empty());
  }
}

TEST(BoundsTest, a_base_is_compared_by_its_digest_where_there_is_one) {
  const Bytes base = noise(100), other = Bytes(100), target = noise(50);
  ApplyLimits limits;
  limits.base = crypto::sha256(base);
  const auto with = [&](ByteView named, ByteView given) {
    Hand delta = header_of(named, target);
    delta.byte(kRaw).number(50).more(target).byte(kEnd);
    MemorySource source(delta.bytes);
    MemorySink sink;
    return apply_delta(source, given, limits, sink);
  };
  EXPECT_TRUE(with(base, base));
  EXPECT_TRUE(with({}, {})) << "a delta without a base is good for every base";
  EXPECT_CODE(with(other, other), Code::digest_mismatch);
  EXPECT_CODE(with(base, ByteView(base).first(99)), Code::digest_mismatch);
  EXPECT_CODE(with({}, base), Code::digest_mismatch);
}

// --- segments --------------------------------------------------------------------------------------------------------
TEST(BoundsTest, segments_that_nobody_knows_are_refused) {
  for (const int kind : {7, 8, 255}) expect_refused(Hand().byte(kind), {}, "unknown kind of segment");
}

TEST(BoundsTest, no_segment_reaches_outside_the_base) {
  const Bytes base = noise(1000);
  const auto copy = [&](std::uint64_t size, std::int64_t distance) {
    return Hand().byte(kCopy).number(size).sign(distance);
  };
  for (const auto& [size, distance] : std::initializer_list<std::pair<std::uint64_t, std::int64_t>>{{1001, 0},
                                                                                                    {1, 1000},
                                                                                                    {0, 1001},
                                                                                                    {11, 990},
                                                                                                    {1, -1},
                                                                                                    {UINT64_MAX, 1},
                                                                                                    {UINT64_MAX, 2},
                                                                                                    {2, INT64_MIN},
                                                                                                    {1, INT64_MAX}}) {
    expect_refused(copy(size, distance), base, "points outside its base", 2000);
    Hand prefix = Hand().byte(kPrefix).number(5).sign(distance).number(std::min<std::uint64_t>(size, kMaxPrefix));
    expect_refused(prefix.packed(noise(5)), base, "points outside its base", 2000);
  }
  expect_refused(Hand().byte(kTensor).byte(kF32 | kWithBase).numbers({1, 251}).sign(0), base, "points outside its base",
                 2000);
  expect_refused(copy(1, 0), {}, "points outside its base");
  // And on the edge: all of it, and nothing behind it.
  EXPECT_EQ(apply(copy(1000, 0), base, 1000).made, base);
  EXPECT_TRUE(apply(copy(0, 1000), base, 0).status);
}

TEST(BoundsTest, places_count_from_where_the_last_range_ended) {
  const Bytes base = noise(100);
  Bytes target(base.begin() + 10, base.begin() + 30);
  target.insert(target.end(), base.begin() + 35, base.begin() + 40);
  target.insert(target.end(), base.begin(), base.begin() + 7);
  Hand delta = header_of(base, target);
  for (const auto& [size, distance] : {std::pair(20, 10), std::pair(5, 5), std::pair(7, -40)})
    delta.byte(kCopy).number(static_cast<std::uint64_t>(size)).sign(distance);
  delta.byte(kEnd);
  MemorySource source(delta.bytes);
  MemorySink sink;
  EXPECT_TRUE(apply_delta(source, base, {}, sink));
  EXPECT_EQ(sink.bytes, target);
}

TEST(BoundsTest, segments_over_their_bounds_are_refused) {
  const Bytes base = noise(5 * kMiB);
  expect_refused(Hand().byte(kRaw).number(kMiB + 1).zeros(kMiB + 1), {}, "a segment is over its bound", 2 * kMiB);
  expect_refused(Hand().byte(kZstd).packed(Bytes(kMiB + 1)), {}, "a segment is over its bound", 2 * kMiB);
  expect_refused(Hand().byte(kZstd).number(10).number(kMiB + 1).zeros(kMiB + 1), {},
                 "a packed segment is over its bound");
  expect_refused(Hand().byte(kPrefix).number(10).sign(0).number(4 * kMiB + 1).zeros(64), base,
                 "dictionary is over its bound");
  EXPECT_EQ(apply(Hand().byte(kRaw).number(kMiB).zeros(kMiB), {}, kMiB).made.size(), kMiB);
  EXPECT_EQ(apply(Hand().byte(kZstd).packed(Bytes(kMiB)), {}, kMiB).made.size(), kMiB);
  const Hand prefix = Hand().byte(kPrefix).number(10).sign(0).number(4 * kMiB);
  const Bytes frame = Hand::frame_of(Bytes(10));
  EXPECT_TRUE(apply(Hand(prefix).number(frame.size()).more(frame), base, 10).status);
}

TEST(BoundsTest, frames_that_are_damaged_or_of_another_size_are_refused) {
  const Bytes content = noise(100), frame = Hand::frame_of(content);
  for (const std::uint64_t size : {99, 101})
    expect_refused(Hand().byte(kZstd).number(size).number(frame.size()).more(frame), {}, "packed segment is damaged",
                   200);
  Bytes damaged = frame;
  damaged[0] ^= 1;
  expect_refused(Hand().byte(kZstd).number(100).number(frame.size()).more(damaged), {}, "packed segment is damaged",
                 200);
}

TEST(BoundsTest, a_stretch_gives_nothing_of_a_frame_that_makes_more_than_it_says) {
  const Bytes frame = Hand::frame_of(noise(100));
  const Applied applied = apply(Hand().byte(6).number(99).number(frame.size()).more(frame), {}, 200);
  EXPECT_CODE(applied.status, Code::malformed);
  EXPECT_TRUE(applied.made.empty());
}

TEST(BoundsTest, a_stretch_is_one_frame_that_ends_with_it) {
  const Bytes content = noise(100);
  // By zstd's own rules: magic, a content of one byte's size that is its window, a raw block, and an empty one that is
  // the last.
  const Bytes frame =
      Hand().fixed(0xfd2fb528, 4).byte(0x20).byte(100).fixed(100 << 3, 3).more(content).fixed(1, 3).bytes;
  const auto stretch = [](std::uint64_t size, const Bytes& packed) {
    return Hand().byte(6).number(size).number(packed.size()).more(packed);
  };
  EXPECT_EQ(apply(stretch(100, frame), {}, 100).made, content);
  expect_refused(stretch(100, Bytes(frame.begin(), frame.end() - 3)), {}, "a stretch is damaged", 100);
  expect_refused(stretch(100, Hand().more(frame).more(Hand::frame_of({})).bytes), {}, "a stretch is damaged", 100);
  expect_refused(stretch(100, Hand().more(frame).byte(0).bytes), {}, "a stretch is damaged", 100);
  expect_refused(stretch(101, frame), {}, "a stretch is damaged", 200);
  expect_refused(stretch(201, frame), {}, "more than it promised", 200);
}

TEST(BoundsTest, more_or_fewer_bytes_than_the_header_says_are_refused) {
  const Bytes base = noise(1000);
  const Applied more = apply(Hand().byte(kCopy).number(600).sign(0).byte(kCopy).number(400).sign(0), base, 999);
  EXPECT_NE(more.status.error().message().find("more than it promised"), std::string::npos);
  EXPECT_EQ(more.made.size(), 600U) << "nothing of what is too much";
  expect_refused(Hand().byte(kCopy).number(1000).sign(0), base, "less than it promised", 1001);
}

// --- tensors ---------------------------------------------------------------------------------------------------------
Hand tensor(int type, std::uint64_t rows, std::uint64_t columns, int mode) {
  Hand hand;
  hand.byte(kTensor).byte(static_cast<std::uint64_t>(type)).numbers({rows, columns});
  if ((type & kWithBase) != 0) hand.sign(0);
  return hand.byte(static_cast<std::uint64_t>(mode));
}

TEST(BoundsTest, tensors_without_sense_are_refused) {
  expect_refused(tensor(4, 4, 4, kAlone), {}, "a tensor without sense");
  expect_refused(tensor(0x7f, 4, 4, kAlone), {}, "a tensor without sense");
  expect_refused(tensor(kI8, 0, 4, kAlone), {}, "a tensor without sense");
  expect_refused(tensor(kI8, 4, 0, kAlone), {}, "a tensor without sense");
  expect_refused(tensor(kI8, std::uint64_t{1} << 30, std::uint64_t{1} << 11, kAlone), {}, "a tensor without sense");
  expect_refused(tensor(kF32, std::uint64_t{1} << 32, std::uint64_t{1} << 32, kAlone), {}, "a tensor without sense");
  expect_refused(tensor(kI8, kTooLarge, 1, kAlone), {}, "rows is over its bound");
  expect_refused(tensor(kI8, 1, kTooLarge, kAlone), {}, "columns is over its bound");
  expect_refused(tensor(kI8, 4, 4, 3), {}, "an unknown kind of tensor");
  for (const int mode : {kDifference, kGrid})
    expect_refused(tensor(kF32, 4, 4, mode).zeros(200), {}, "refers to a base that is not there");
}

TEST(BoundsTest, tables_over_their_bounds_or_damaged_are_refused) {
  const auto alone = [] { return tensor(kI8, 4, 4, kAlone); };
  expect_refused(alone().number(128 * 1024 + 1).zeros(200'000), {}, "a tensor's tables is over its bound");
  expect_refused(alone().number(100).number(kMaxTableBytes + 1).zeros(100'000), {}, "packed tables is over its bound");
  const Bytes frame = Hand::frame_of(Bytes(100));
  for (const std::uint64_t size : {99, 101})
    expect_refused(alone().number(size).number(frame.size()).more(frame), {}, "a tensor's tables are damaged");
  expect_refused(alone().number(3).number(0).more(Bytes{0, 0, 0}), {}, "tables are damaged");
}

TEST(BoundsTest, chunks_over_their_bounds_or_cut_short_are_refused) {
  const auto alone = [] { return tensor(kI8, 4, 4, kAlone).number(0); };
  const std::uint64_t coded = 3 * kChunkElements / 2 + 64;
  expect_refused(alone().number(coded + 1).number(0).zeros(coded + 1), {}, "a chunk is over its bound");
  expect_refused(alone().number(4).number(kMaxChunkPlain + 1).zeros(kMaxChunkPlain + 8), {},
                 "plain bits is over its bound");
  expect_refused(alone().number(3).number(0).zeros(3), {}, "coded numbers are cut short");
  expect_refused(alone().number(4).number(0).zeros(4), {}, "a tensor's chunk is damaged");  // the state is not 2^16
  expect_refused(alone().number(6).number(0).fixed(1 << 16, 4).zeros(2), {},
                 "a tensor's chunk is damaged");  // bytes over
  expect_refused(alone().number(4).number(1).fixed(1 << 16, 4).zeros(1), {},
                 "a tensor's chunk is damaged");  // bits over
  const Applied good = apply(alone().number(4).number(0).fixed(1 << 16, 4), {}, 16);
  EXPECT_TRUE(good.status) << good.status.error().message();  // sixteen symbols that are certain
}

TEST(BoundsTest, a_chunk_against_a_base_ends_where_it_must) {
  const Bytes base(16);
  // Whatever its default, a zero of int8 is coded in some context: give them all none but the symbol of no change.
  const auto difference = [] { return tensor(kI8 | kWithBase, 4, 4, kDifference).byte(0).byte(0).sign(0).number(0); };
  expect_refused(difference().number(6).number(0).fixed(1 << 16, 4).zeros(2), base, "a tensor's chunk is damaged");
  expect_refused(difference().number(4).number(3).fixed(1 << 16, 4).zeros(3), base, "a tensor's chunk is damaged");
}

// --- what a tensor says in front of its elements ---------------------------------------------------------------------
std::string refusal_of(const Hand& hand, const TensorShape& shape) {
  MemorySource source(hand.bytes);
  NumberReader in(source);
  const auto read = read_parameters(in, shape);
  return read ? "" : read.error().message();
}

TEST(BoundsTest, parameters_out_of_range_are_refused) {
  const TensorShape shape{ElementType::f32, 16, 16};
  constexpr std::uint64_t kGains = 16;
  for (const int scale : {-kMaxTensorScale, 0, kMaxTensorScale})
    EXPECT_EQ(refusal_of(Hand().byte(0).byte(0).sign(scale), shape), "") << scale;
  for (const std::int64_t scale :
       {std::int64_t{-kMaxTensorScale - 1}, std::int64_t{kMaxTensorScale + 1}, INT64_MIN, INT64_MAX})
    EXPECT_EQ(refusal_of(Hand().byte(0).byte(0).sign(scale), shape), "the scale of a tensor is out of range") << scale;
  for (const std::int64_t scale : {-kMaxFactorScale - 1, kMaxFactorScale + 1}) {
    EXPECT_EQ(refusal_of(Hand().byte(0).byte(kGains).sign(0).sign(scale), shape), "the scale of gains is out of range");
    EXPECT_EQ(refusal_of(Hand().byte(1).byte(0).sign(0).sign(scale), shape), "the scale of factors is out of range");
  }
  EXPECT_EQ(refusal_of(Hand().byte(0).byte(64).sign(0), shape), "the numbers of a tensor are over their bound");
  EXPECT_EQ(refusal_of(Hand().byte(kMaxRank + 1).byte(0).sign(0).sign(0), shape),
            "the numbers of a tensor are over their bound");
  EXPECT_NE(refusal_of(Hand().byte(kMaxRank).byte(0).sign(0).sign(0), shape),
            "the numbers of a tensor are over their bound");
}

TEST(BoundsTest, factors_over_their_bound_are_refused_before_there_is_room_for_them) {
  const Hand one = Hand().byte(1).byte(0).sign(0).sign(0);
  const std::uint64_t half = kMaxFactorBytes / 4;  // rows and columns of two bytes each: exactly on the bound
  EXPECT_NE(refusal_of(one, {ElementType::i8, half, half}), "the numbers of a tensor are over their bound");
  for (const TensorShape shape :
       {TensorShape{ElementType::i8, half + 1, half}, TensorShape{ElementType::i8, half, half + 1},
        TensorShape{ElementType::i8, std::uint64_t{1} << 40, 1}})
    EXPECT_EQ(refusal_of(one, shape), "the numbers of a tensor are over their bound");
  // 2^63 columns of two bytes would be no bytes at all.
  EXPECT_EQ(parameter_bytes({ElementType::i8, 1, std::uint64_t{1} << 63}, 1, false, false, false), SIZE_MAX);
}

std::string refusal_of_numbers(const Hand& hand, std::size_t count) {
  std::vector<std::int16_t> vector(count);
  const std::span<std::int16_t> vectors[] = {vector};
  MemorySource source(hand.bytes);
  NumberReader in(source);
  const Status read = read_numbers(in, vectors);
  return read ? "" : read.error().message();
}

// Tables of the six contexts, in which every symbol but one is impossible.
Bytes tables_with(std::uint8_t symbol) {
  Hand tables;
  for (int context = 0; context < 6; ++context) tables.numbers({1, symbol, 1, 4096});
  return tables.bytes;
}

TEST(BoundsTest, numbers_over_their_bounds_or_damaged_are_refused) {
  const Bytes tables = tables_with(127);
  const auto numbers = [&](std::uint64_t log) { return Hand().byte(log).number(tables.size()).more(tables); };
  const auto state = [](Hand hand, std::uint64_t plain) {
    return hand.number(4).fixed(1 << 16, 4).number(plain).zeros(plain);
  };
  EXPECT_EQ(refusal_of_numbers(state(numbers(0), 0), 10), "");
  EXPECT_EQ(refusal_of_numbers(Hand().byte(0).number(kMaxTableBytes + 1).zeros(kMaxTableBytes + 1), 10),
            "the tables of a tensor's numbers is over its bound of 65536");
  EXPECT_EQ(refusal_of_numbers(numbers(0).number(85).zeros(85), 10), "a tensor's numbers is over its bound of 84");
  EXPECT_EQ(refusal_of_numbers(numbers(0).number(4).fixed(1 << 16, 4).number(81).zeros(81), 10),
            "the low bits of a tensor's numbers is over its bound of 80");
  EXPECT_EQ(refusal_of_numbers(state(numbers(15), 0), 10), "the size of a tensor's numbers is out of range");
  EXPECT_EQ(refusal_of_numbers(state(numbers(0), 1), 10), "a tensor's numbers are damaged");
  EXPECT_EQ(refusal_of_numbers(numbers(0).number(6).fixed(1 << 16, 4).zeros(2).number(0), 10),
            "a tensor's numbers are damaged");
  EXPECT_EQ(refusal_of_numbers(numbers(0).number(4).fixed(1 << 17, 4).number(0), 10), "a tensor's numbers are damaged");
}

// 8000 is the last: sums of 32 products then stay below 2^31.
TEST(BoundsTest, numbers_beyond_the_largest_are_refused) {
  for (const auto& [value, good] :
       {std::pair(8000, true), std::pair(8001, false), std::pair(-8000, true), std::pair(-8001, false)}) {
    const Bytes tables = tables_with(255);  // an escape: 15 plain bits
    const auto bits = static_cast<std::uint64_t>(value) & 0x7fff;
    const Hand hand =
        Hand().byte(0).number(tables.size()).more(tables).number(4).fixed(1 << 16, 4).number(2).fixed(bits, 2);
    EXPECT_EQ(refusal_of_numbers(hand, 1), good ? "" : "a tensor's numbers are damaged") << value;
  }
}

TEST(BoundsTest, the_scale_of_a_grids_factors_is_bounded) {
  for (const std::int64_t scale : {std::int64_t{-kMaxFactorScale - 1}, std::int64_t{kMaxFactorScale + 1}, INT64_MAX}) {
    const Hand hand = Hand().sign(scale).zeros(100);
    MemorySource source(hand.bytes);
    NumberReader in(source);
    EXPECT_EQ(read_factors(in, 1, 4, 4).error().message(), "the scale of the factors is out of range");
  }
}

// --- grids -----------------------------------------------------------------------------------------------------------
// Steps of one row, as the differences that are sent; a scale for it and for each of four columns.
Bytes side_of(std::initializer_list<std::int64_t> steps) {
  Hand side;
  for (const std::int64_t step : steps) side.sign(step);
  return side.zeros(1 + 4).bytes;
}

TEST(BoundsTest, grids_that_cannot_be_are_refused) {
  const Bytes base(kMaxGridRows * 2 + 2);
  expect_refused(tensor(kI8 | kWithBase, 4, 4, kGrid).byte(0).zeros(200), base, "a snapped tensor that cannot be one");
  expect_refused(tensor(kF16 | kWithBase, kMaxGridRows + 1, 1, kGrid).byte(0).zeros(200), base,
                 "a snapped tensor that cannot be one");
  expect_refused(tensor(kF16 | kWithBase, 4, 4, kGrid).byte(kMaxRank + 1).zeros(200), base,
                 "factors are over their bound");
  expect_refused(tensor(kF16 | kWithBase, 1, kMaxColumns + 1, kGrid).byte(1).zeros(200), base,
                 "factors are over their bound");
  expect_refused(tensor(kF16 | kWithBase, kMaxGridRows, 1, kGrid).byte(4).zeros(200), base,
                 "factors are over their bound");
}

TEST(BoundsTest, steps_of_a_grid_are_bounded_and_as_many_as_its_rows) {
  const Bytes base(16);
  const auto grid = [] { return tensor(kF32 | kWithBase, 1, 4, kGrid).byte(0); };
  const std::size_t room = 4 + 4;  // one row and four columns
  expect_refused(grid().number(room + 1).number(0).zeros(200), base, "steps or tables is over its bound");
  expect_refused(grid().number(room).number(ZSTD_compressBound(room) + 1).zeros(300), base,
                 "packed steps or tables is over");
  const Bytes side = side_of({0}), frame = Hand::frame_of(side);
  expect_refused(grid().number(side.size() - 1).number(frame.size()).more(frame).zeros(100), base,
                 "steps or tables are damaged");
  expect_refused(grid().number(side.size() + 1).number(frame.size()).more(frame).zeros(100), base,
                 "steps or tables are damaged");
  for (const std::int64_t step : {std::int64_t{kMinStep - 1}, std::int64_t{kMaxStep + 1}})
    expect_refused(grid().packed(side_of({step})).zeros(100), base, "a step is out of range");
  expect_refused(grid().packed(Hand().more(side).zeros(1).bytes).zeros(100), base, "not as many as its rows");
}

TEST(BoundsTest, a_step_cannot_turn_round_in_its_number) {
  const Bytes base(32);
  Hand side;  // INT64_MIN twice is 0 where numbers turn round
  for (int row = 0; row < 2; ++row) side.sign(INT64_MIN);
  const Hand grid = tensor(kF32 | kWithBase, 2, 4, kGrid).byte(0).number(side.bytes.size() + 6);
  expect_refused(grid, base, "over its bound", 32);
  // In as many bytes as there is room for: of two rows 3 each, so that one of 4 fits when the other takes 1.
  const Hand small = Hand().sign(2'000'000).sign(0).zeros(6);
  expect_refused(tensor(kF32 | kWithBase, 2, 4, kGrid).byte(0).packed(small.bytes).zeros(100), base,
                 "a step is out of range", 32);
}

struct GridChunk {
  std::uint8_t symbol;
  std::uint64_t plain_size = 0, plain = 0;
  Bytes coded = Hand().fixed(1 << 16, 4).bytes;
};
// One element of 1.0 in one row whose step is 1; one symbol is certain in every context.
Hand one_on_a_grid(const GridChunk& chunk) {
  Hand tables;
  for (int context = 0; context < 97; ++context) tables.numbers({1, chunk.symbol, 1, 4096});
  Hand hand = tensor(kF32 | kWithBase, 1, 1, kGrid).byte(0);
  hand.packed(Hand().sign(0).zeros(2).bytes).packed(tables.bytes);
  return hand.number(chunk.coded.size())
      .number(chunk.plain_size)
      .more(chunk.coded)
      .fixed(chunk.plain, chunk.plain_size);
}

TEST(BoundsTest, a_chunk_of_a_grid_is_bounded_and_ends_where_it_must) {
  const Bytes base = Hand().fixed(0x3f800000, 4).bytes;
  const auto made = [&](const GridChunk& chunk) { return apply(one_on_a_grid(chunk), base, 4).made; };
  EXPECT_EQ(made({65}), Hand().fixed(0x40000000, 4).bytes) << "1 + 1";
  EXPECT_EQ(made({0, 2, 256 + 127}), Hand().fixed(0x43000000, 4).bytes) << "an escape: 1 + 127";
  expect_refused(one_on_a_grid({0, 2, 256 + 128}), base, "chunk is damaged", 4);  // a place off the grid
  expect_refused(one_on_a_grid({0, 2, 256 - 128}), base, "chunk is damaged", 4);
  expect_refused(one_on_a_grid({65, 1, 0}), base, "chunk is damaged", 4);
  expect_refused(one_on_a_grid({65, 0, 0, Hand().fixed(1 << 17, 4).bytes}), base, "chunk is damaged", 4);
  expect_refused(one_on_a_grid({65, 0, 0, Hand().fixed(1 << 16, 4).zeros(2).bytes}), base, "chunk is damaged", 4);
  expect_refused(one_on_a_grid({65, 0, 0, Bytes(3 * kChunkElements / 2 + 65)}), base, "a chunk is over its bound", 4);
  Hand plain = tensor(kF32 | kWithBase, 1, 1, kGrid).byte(0).packed(Hand().sign(0).zeros(2).bytes).packed(Bytes(97));
  expect_refused(plain.number(4).number(9 * kChunkElements / 8 + 1).zeros(300'000), base,
                 "plain bits is over its bound", 4);
}

TEST(BoundsTest, what_is_no_number_in_the_base_stays_on_every_grid) {
  const Bytes base = Hand().fixed(0x7f800001, 4).bytes;  // a NaN that arithmetic would make quiet
  EXPECT_EQ(apply(one_on_a_grid({65}), base, 4).made, base);
}

// --- looking at a delta ----------------------------------------------------------------------------------------------
std::string refused_look(const Hand& body, std::size_t size) {
  Hand delta = header_of({}, Bytes(size));
  delta.more(body.bytes).byte(kEnd);
  MemorySource source(delta.bytes);
  const auto contents = inspect_delta(source);
  return contents ? "" : contents.error().message();
}

TEST(BoundsTest, a_look_refuses_kinds_and_types_that_nobody_knows) {
  EXPECT_EQ(refused_look(Hand().byte(7).number(5), 5), "an unknown kind of segment");
  const auto alone = [](int type) { return tensor(type, 1, 1, kAlone).byte(0).number(0).number(4).number(0).zeros(4); };
  EXPECT_EQ(refused_look(alone(kF16), 2), "");
  EXPECT_EQ(refused_look(alone(4), 2), "an unknown type of elements");
  const std::uint64_t largest = std::uint64_t{1} << 40;  // twice: no elements, where sizes turn round
  EXPECT_EQ(refused_look(tensor(kI8, largest, largest, kAlone).number(0), 0), "a tensor without sense");
}

// --- tables that a decoder keeps -------------------------------------------------------------------------------------
const RansTable& table_at(SlotTables& tables, std::size_t slot) {
  const std::int32_t slots[] = {static_cast<std::int32_t>(slot)};
  const RansTable* found = nullptr;
  tables.find(slots, &found);
  return *found;
}

TEST(BoundsTest, a_tensor_without_tables_of_its_own_has_the_defaults_of_its_shape) {
  const Model none(kDifferenceContexts);
  Model own(kDifferenceContexts);
  std::array<std::uint16_t, kSymbols> certain{};
  certain[7] = kProbTotal;
  for (std::size_t context = 0; context < kDifferenceContexts; ++context) own.set(context, certain);
  const std::size_t slots[] = {0, 100, 300, kZeroSlot};
  for (const std::size_t shape : {0, 1}) {
    SlotTables fresh, used;
    fresh.begin(shape, none);
    used.begin(0, none);
    (void)table_at(used, 0);
    (void)table_at(used, kZeroSlot);
    used.begin(0, own);
    EXPECT_EQ(table_at(used, 0).symbol[0], 7);
    used.begin(0, none);
    for (const std::size_t slot : slots) (void)table_at(used, slot);
    used.begin(shape, none);
    for (const std::size_t slot : slots)
      EXPECT_EQ(table_at(used, slot).symbol, table_at(fresh, slot).symbol) << shape << " " << slot;
  }
}

}  // namespace
}  // namespace drover::delta
