// The decoder takes little memory whatever a delta says: every number that it reads is replaced by a huge one, and what
// it asks for meanwhile is counted.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <set>

#include "common/delta/grid.h"
#include "common/delta/low_rank.h"
#include "common/delta/rans.h"
#include "common/delta/tensor_model.h"
#include "tests/support/allocations.h"
#include "tests/unit/delta/kinds.h"

namespace drover::delta {
namespace {

using test::AllocationWatch;
using test::kAllocationsAreCounted;
using testing::every_kind;
using testing::Hand;
using testing::header_of;
using testing::Small;

constexpr std::size_t kMost = 4 << 20;  // beyond the mapped base, whatever the sizes: delta.h

// Where the numbers of a delta stand: what is read byte by byte.
class NotingSource final : public ByteSource {
 public:
  explicit NotingSource(ByteView bytes) : source_(bytes) {}
  Status read(std::span<std::uint8_t> out) override {
    const bool begins = out.size() == 1 && !within_;
    if (begins) numbers.insert(at_);
    at_ += out.size();
    TRY(source_.read(out));
    within_ = out.size() == 1 && out[0] >= 128;  // of a number of several bytes
    return {};
  }
  std::set<std::size_t> numbers;

 private:
  MemorySource source_;
  std::size_t at_ = 0;
  bool within_ = false;
};

// Delta after delta without an end: what a size asks for is always there.
class EndlessSource final : public ByteSource {
 public:
  explicit EndlessSource(ByteView bytes) : bytes_(bytes) {}
  Status read(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = bytes_[at_++ % bytes_.size()];
    return {};
  }

 private:
  ByteView bytes_;
  std::size_t at_ = 0;
};

class NoSink final : public ByteSink {
 public:
  Status write(ByteView bytes) override {
    written += bytes.size();
    return {};
  }
  std::size_t written = 0;
};

struct Cost {
  std::size_t most = 0, largest = 0, written = 0;
  Status status;
};
Cost cost_of(ByteSource& delta, ByteView base) {
  NoSink sink;
  Cost cost;
  AllocationWatch watch;
  cost.status = apply_delta(delta, base, {}, sink);
  cost.most = watch.most();
  cost.largest = watch.largest();
  cost.written = sink.written;
  return cost;
}
Cost cost_of(ByteView delta, ByteView base) {
  MemorySource source(delta);
  return cost_of(source, base);
}

// The delta with another number in the place of the one that begins there.
Bytes with_number(ByteView delta, std::size_t at, std::uint64_t number) {
  std::size_t end = at;
  while (end + 1 < delta.size() && delta[end] >= 128) ++end;
  Hand out;
  out.more(delta.first(at)).number(number).more(delta.subspan(end + 1));
  return std::move(out.bytes);
}

TEST(MemoryTest, an_allocation_is_counted_where_it_can_be) {
  if (!kAllocationsAreCounted) GTEST_SKIP() << "the sanitizer has a malloc of its own";
  AllocationWatch watch;
  {
    const Bytes one(1 << 20), other(3 << 20);
    EXPECT_GE(watch.most(), one.size() + other.size());
  }
  const Bytes small(1000);
  EXPECT_LT(watch.most(), std::size_t{5 << 20});
  EXPECT_EQ(watch.largest(), std::size_t{3 << 20});
}

TEST(MemoryTest, numbers_that_lie_cost_no_memory) {
  const std::uint64_t lies[] = {UINT64_MAX,
                                std::uint64_t{1} << 63,
                                std::uint64_t{1} << 40,
                                UINT32_MAX,
                                std::uint64_t{1} << 31,
                                (std::uint64_t{4} << 20) + 1,
                                std::uint64_t{4} << 20,
                                std::uint64_t{1} << 20,
                                std::uint64_t{1} << 17,
                                (std::uint64_t{1} << 16) + 1};
  std::size_t most = 0, tried = 0;
  for (const Small& s : every_kind()) {
    NotingSource noting(s.delta);
    ASSERT_TRUE(cost_of(noting, s.base).status) << s.name;
    ASSERT_GT(noting.numbers.size(), 5U) << s.name;
    for (const std::size_t at : noting.numbers)
      for (const std::uint64_t lie : lies) {
        const Bytes lying = with_number(s.delta, at, lie);
        EndlessSource endless(lying);
        for (const Cost& cost : {cost_of(lying, s.base), cost_of(endless, s.base)}) {
          EXPECT_LE(cost.most, kMost) << s.name << ", at " << at << ": " << lie;
          EXPECT_LE(cost.written, s.target.size()) << s.name << ", at " << at << ": " << lie;
          most = std::max(most, cost.most);
          ++tried;
        }
      }
  }
  EXPECT_GT(tried, 2000U);
  RecordProperty("most_bytes", std::to_string(most));
}

// The header's sizes are of 8 bytes: they are what a mapping or a file is compared with, never what memory is asked
// for.
TEST(MemoryTest, a_header_that_lies_costs_no_memory) {
  for (const Small& s : every_kind())
    for (const std::size_t at : {8, 16}) {
      Bytes lying = s.delta;
      for (std::size_t i = 0; i < 8; ++i) lying[at + i] = 0xff;
      const Cost cost = cost_of(lying, s.base);
      EXPECT_FALSE(cost.status) << s.name;
      EXPECT_LE(cost.most, kMost) << s.name;
    }
}

// Frequencies for every context of a difference: the decoder keeps their tables from tensor to tensor.
Bytes tables_of_every_context() {
  Hand tables;
  for (std::size_t context = 0; context < kDifferenceContexts; ++context) tables.numbers({0, 1, 127, 1, 4096});
  return tables.bytes;
}
// A tensor of 1 x 1 that fills all of them.
Hand all_tables() {
  Hand hand;
  hand.byte(5).byte(3 | 0x80).numbers({1, 1}).sign(-1).byte(0).byte(0).byte(0).sign(0);
  hand.packed(tables_of_every_context());
  return hand.number(4).number(0).fixed(1 << 16, 4);
}

// Zeros of which nothing is there before it is read, as of a mapped file.
class Mapped {
 public:
  explicit Mapped(std::size_t size)
      : size_(size), at_(::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() { ::munmap(at_, size_); }
  ByteView bytes() const { return {static_cast<const std::uint8_t*>(at_), size_}; }

 private:
  std::size_t size_;
  void* at_;
};

// Behind it a decoder holds what it ever keeps: a frame has been unpacked, and every context has a table.
Hand with_everything_kept(ByteView base, std::uint64_t target_size) {
  Hand hand;
  hand.fixed(kMagic, 4).fixed(kVersion, 4).fixed(base.size(), 8).fixed(target_size, 8).zeros(64);
  return hand.byte(3).packed(Bytes(1000)).byte(1).number(1).sign(0).more(all_tables().bytes);
}
Hand& tensor(Hand& hand, ElementType type, std::uint64_t rows, std::uint64_t columns, TensorMode mode,
             std::size_t rank) {
  hand.byte(5).byte(static_cast<std::uint64_t>(type) | 0x80).numbers({rows, columns}).sign(-1);
  return hand.byte(static_cast<std::uint64_t>(mode)).byte(rank);
}
Bytes zero_factors(std::size_t rank, std::size_t rows, std::size_t columns) {
  Factors factors{
      .rank = rank, .scale_log2 = 0, .rows = rows, .columns = columns, .left = {}, .right = {}, .pairs = {}};
  factors.left.resize(rank * rows);
  factors.right.resize(rank * columns);
  Bytes out;
  write_factors(factors, out);
  return out;
}
void expect_within(const Hand& delta, ByteView base, std::size_t expected_at_least, const std::string& why) {
  const Cost cost = cost_of(delta.bytes, base);
  ASSERT_FALSE(cost.status);
  EXPECT_EQ(cost.status.error().message(), why);
  EXPECT_LE(cost.most, kMost);
  if (kAllocationsAreCounted) {
    EXPECT_GE(cost.most, expected_at_least) << "the delta does not ask for what it is meant to";
  }
}

TEST(MemoryTest, as_many_factors_as_there_may_be_stay_within_the_bound) {
  constexpr std::uint64_t kRows = 8192, kColumns = 8192, kNumbers = kMaxRank * (kRows + kColumns);
  const Mapped base(kRows * kColumns);
  const auto body = [&](std::uint64_t coded, std::uint64_t plain) {
    Hand hand = with_everything_kept(base.bytes(), base.bytes().size());
    tensor(hand, ElementType::i8, kRows, kColumns, TensorMode::difference, kMaxRank).byte(0).sign(0).sign(0);
    hand.zeros(2 * kMaxRank).number(kMaxTableBytes).zeros(kMaxTableBytes);
    return hand.number(coded).zeros(coded).number(plain).zeros(plain);
  };
  expect_within(body(kNumbers, kNumbers), base.bytes(), 3 << 20, "frequency tables are damaged");
  expect_within(body(kNumbers * 3 / 2, kNumbers * 2), base.bytes(), 3 << 20,
                "the low bits of a tensor's numbers is over its bound of " + std::to_string(kNumbers / 2 + 64));
}

TEST(MemoryTest, a_grid_of_many_columns_and_factors_stays_within_the_bound) {
  constexpr std::uint64_t kRows = 1024;
  constexpr std::size_t kRank = 7;
  const Mapped base(kRows * kMaxColumns * 4);
  Hand hand = with_everything_kept(base.bytes(), base.bytes().size());
  tensor(hand, ElementType::f32, kRows, kMaxColumns, TensorMode::grid, kRank);
  hand.packed(Bytes(2 * kRows + kMaxColumns)).more(zero_factors(kRank, kRows, kMaxColumns));
  Hand tables;
  for (int context = 0; context < 97; ++context) tables.numbers({1, 64, 1, 4096});
  hand.packed(tables.bytes).number(3 * kChunkElements / 2).number(9 * kChunkElements / 8).zeros(3 * kChunkElements);
  expect_within(hand, base.bytes(), 2 << 20, "a snapped tensor's chunk is damaged");
}

TEST(MemoryTest, a_grid_of_many_rows_stays_within_the_bound) {
  const Mapped base(kMaxGridRows * 64 * 4);
  Hand hand = with_everything_kept(base.bytes(), base.bytes().size());
  tensor(hand, ElementType::f32, kMaxGridRows, 64, TensorMode::grid, 3);
  Bytes noise(3 * kMaxGridRows);  // steps of three bytes, and a frame that is not shorter
  SeededRng(3).fill(noise);
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = i % 3 == 2 ? 0 : noise[i] | 0x80;
  noise.resize(4 * kMaxGridRows + 64);
  hand.packed(noise).sign(0).zeros(6);
  expect_within(hand, base.bytes(), 1 << 20, "a step is out of range");
}

TEST(MemoryTest, nothing_is_taken_for_what_comes_after_a_fault) {
  if (!kAllocationsAreCounted) GTEST_SKIP() << "the sanitizer has a malloc of its own";
  MemorySource source({});
  NumberReader in(source);
  in.fail("a fault");
  AllocationWatch watch;
  EXPECT_TRUE(in.bytes(std::size_t{1} << 30).empty());
  EXPECT_LT(watch.largest(), 1000U);
}

TEST(MemoryTest, looking_at_a_delta_costs_no_memory_either) {
  for (const Small& s : every_kind()) {
    NotingSource noting(s.delta);
    ASSERT_TRUE(inspect_delta(noting)) << s.name;
    for (const std::size_t at : noting.numbers)
      for (const std::uint64_t lie : {UINT64_MAX, std::uint64_t{1} << 40, std::uint64_t{1} << 31}) {
        const Bytes lying = with_number(s.delta, at, lie);
        MemorySource source(lying);
        AllocationWatch watch;
        (void)inspect_delta(source);
        EXPECT_LE(watch.most(), kMost) << s.name << ", at " << at << ": " << lie;
      }
  }
}

}  // namespace
}  // namespace drover::delta
