// A small delta of every kind of body: each mode with each type of elements, with and without a base, and bytes in each
// of their segments. For tests.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "common/delta/delta.h"
#include "common/delta/snap.h"
#include "tests/unit/delta/hand_made.h"
#include "tests/unit/delta/models.h"

namespace drover::delta::testing {

struct Small {
  std::string name;
  Bytes base, target, delta;
};

inline Bytes made_delta(ByteView base, ByteView target, std::vector<DeltaPart>* parts = nullptr) {
  MemorySink sink;
  auto made = make_delta(base, target, sink);
  if (made && parts != nullptr) *parts = std::move(*made);
  return std::move(sink.bytes);
}

struct Dtype {
  const char* name;
  ElementType type;
};
inline constexpr Dtype kDtypes[] = {
    {"F32", ElementType::f32}, {"F16", ElementType::f16}, {"BF16", ElementType::bf16}, {"I8", ElementType::i8}};

inline Bytes one_tensor(const Dtype& of, std::size_t rows, std::size_t columns, const std::vector<float>& numbers) {
  return safetensors({{"w", of.name, {rows, columns}, as_type(numbers, of.type)}});
}

inline Small tuned_pair(const std::string& name, const Dtype& of, std::size_t rows, std::size_t columns) {
  const auto before = weights(rows * columns, 12), after = tuned(before, rows, columns, 13);
  Small s{name, one_tensor(of, rows, columns, before), one_tensor(of, rows, columns, after), {}};
  s.delta = made_delta(s.base, s.target);
  return s;
}

// One tensor in the way that is asked for, where the encoder might take another: without a base, or with factors.
inline Small one_segment(const std::string& name, const Dtype& of, std::optional<std::size_t> rank) {
  const std::size_t side = rank ? 64 : 16;  // smaller ones get no factors
  const TensorShape shape{of.type, side, side};
  const auto before = weights(side * side, 12);
  Small s{name, {}, as_type(tuned(before, side, side, 13), of.type), {}};
  if (rank) s.base = as_type(before, of.type);
  Hand hand = header_of(s.base, s.target);
  hand.byte(5).byte(static_cast<std::uint64_t>(of.type) | (rank ? 0x80 : 0)).numbers({side, side});
  if (rank) hand.sign(0);
  hand.more(rank ? encode_difference(shape, s.base, s.target, rank) : encode_alone(shape, s.target)).byte(0);
  s.delta = hand.bytes;
  return s;
}

inline Small snapped_pair(const std::string& name, const Dtype& of, std::size_t rows, std::size_t columns) {
  const auto before = weights(rows * columns, 1, 0.02), after = tuned(before, rows, columns, 2);
  Small s{name, one_tensor(of, rows, columns, before), one_tensor(of, rows, columns, after), {}};
  (void)snap_model(s.base, 1, s.target);
  s.delta = made_delta(s.base, s.target);
  return s;
}

// Every fiftieth number is another: most symbols say "as before".
inline Small sparse_pair() {
  const auto before = weights(48 * 48, 21);
  auto after = before;
  for (std::size_t i = 0; i < after.size(); i += 50) after[i] *= 1.01F;
  Small s{"sparse", one_tensor(kDtypes[0], 48, 48, before), one_tensor(kDtypes[0], 48, 48, after), {}};
  s.delta = made_delta(s.base, s.target);
  return s;
}

inline Small edited_bytes() {
  Small s{"bytes", Bytes(3000), {}, {}};
  SeededRng(15).fill(s.base);
  s.target = s.base;
  s.target[1500] ^= 1;
  s.target.insert(s.target.begin() + 700, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  s.delta = made_delta(s.base, s.target);
  return s;
}

// By hand: which segment bytes take is the encoder's choice.
inline Small every_segment_of_bytes() {
  Small s{"copy, raw, zstd, prefix, stretch", Bytes(500), {}, {}};
  SeededRng(16).fill(s.base);
  const Bytes raw = {1, 2, 3, 4, 5, 6, 7, 8, 9}, again(200, 'x');
  Bytes near(s.base.begin() + 100, s.base.begin() + 300);
  near[50] ^= 1;
  s.target.assign(s.base.begin() + 10, s.base.begin() + 90);
  for (const Bytes* part : {&raw, &again, static_cast<const Bytes*>(&near)})
    s.target.insert(s.target.end(), part->begin(), part->end());
  Hand hand = header_of(s.base, s.target);
  hand.byte(1).number(80).sign(10).byte(2).number(raw.size()).more(raw).byte(3).packed(again);
  const Bytes frame = Hand::frame_of(near, ByteView(s.base).subspan(90, 300));
  hand.byte(4).number(near.size()).sign(0).number(300).number(frame.size()).more(frame);
  s.target.insert(s.target.end(), 1000, 'y');
  hand.byte(6).packed(Bytes(1000, 'y')).byte(0);
  // The target was not whole when the header was written.
  s.delta = header_of(s.base, s.target).more(ByteView(hand.bytes).subspan(kHeaderBytes)).bytes;
  return s;
}

inline std::vector<Small> every_kind() {
  std::vector<Small> all;
  for (const Dtype& of : kDtypes) {
    const std::string name = of.name;
    all.push_back(tuned_pair(name + ", difference", of, 16, 16));
    all.push_back(one_segment(name + ", alone", of, std::nullopt));
    if (of.type != ElementType::i8) all.push_back(snapped_pair(name + ", grid", of, 32, 32));
  }
  all.push_back(one_segment("BF16, difference with factors", kDtypes[2], 2));
  all.push_back(sparse_pair());
  all.push_back(edited_bytes());
  all.push_back(every_segment_of_bytes());
  return all;
}

}  // namespace drover::delta::testing
