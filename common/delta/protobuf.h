// Protobuf's wire format, read in place, as far as ONNX needs it. Internal to this folder; pure.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"

namespace drover::delta {

class Fields {
 public:
  explicit Fields(ByteView message) : rest_(message) {}
  // The next field; false at the end or at damage.
  bool next() {
    std::uint64_t key = 0;
    if (rest_.empty() || !varint(key)) return false;
    number = key >> 3;
    value = 0;
    bytes = {};
    switch (key & 7) {
      case 0:
        return varint(value);
      case 1:
        return skip(8);
      case 2:
        return varint(value) && take(value);
      case 5:
        return skip(4);
      default:
        return false;
    }
  }
  std::uint64_t number = 0, value = 0;
  ByteView bytes;

 private:
  bool varint(std::uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const std::uint8_t byte = rest_.front();
      rest_ = rest_.subspan(1);
      out |= static_cast<std::uint64_t>(byte & 127) << shift;
      if (byte < 128) return true;
    }
    return false;
  }
  bool skip(std::size_t n) {
    if (rest_.size() < n) return false;
    rest_ = rest_.subspan(n);
    return true;
  }
  bool take(std::uint64_t n) {
    if (rest_.size() < n) return false;
    bytes = rest_.first(static_cast<std::size_t>(n));
    return skip(static_cast<std::size_t>(n));
  }
  ByteView rest_;
};

}  // namespace drover::delta
