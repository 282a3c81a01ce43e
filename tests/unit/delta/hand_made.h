// Deltas written by hand, field by field, as no encoder would. For tests.
#pragma once

#include <initializer_list>

#include "common/delta/delta.h"
#include "common/delta/stream.h"

namespace drover::delta::testing {

class Hand {
 public:
  Hand& byte(std::uint64_t value) { return fixed(value, 1); }
  Hand& fixed(std::uint64_t value, std::size_t size) {
    put_fixed(bytes, value, size);
    return *this;
  }
  Hand& number(std::uint64_t value) {
    put_varint(bytes, value);
    return *this;
  }
  Hand& numbers(std::initializer_list<std::uint64_t> values) {
    for (std::uint64_t value : values) number(value);
    return *this;
  }
  Hand& sign(std::int64_t value) {
    put_signed(bytes, value);
    return *this;
  }
  Hand& more(ByteView content) {
    bytes.insert(bytes.end(), content.begin(), content.end());
    return *this;
  }
  Hand& zeros(std::size_t count) {
    bytes.resize(bytes.size() + count);
    return *this;
  }
  // A size and a zstd frame of `content`, with the frame's size in front.
  Hand& packed(ByteView content) {
    const Bytes frame = frame_of(content);
    return number(content.size()).number(frame.size()).more(frame);
  }
  // A zstd frame, with what stands in front of it if there is something.
  static Bytes frame_of(ByteView content, ByteView prefix = {});

  Bytes bytes;
};

// The header of a delta between these.
inline Hand header_of(ByteView base, ByteView target) {
  Hand hand;
  hand.fixed(kMagic, 4).fixed(kVersion, 4).fixed(base.size(), 8).fixed(target.size(), 8);
  hand.more(crypto::sha256(base).raw()).more(crypto::sha256(target).raw());
  return hand;
}

}  // namespace drover::delta::testing
