// Where a delta comes from and where its result goes, and how its numbers are written.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::delta {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills the whole of `out`; malformed when the source ends before.
  virtual Status read(std::span<std::uint8_t> out) = 0;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status write(ByteView bytes) = 0;
  // Memory that becomes the next `size` bytes of the result (of a mapped file), to be filled from its beginning, for
  // what decodes best where its own result can be looked at. Empty: there is none, and write() does it.
  virtual std::span<std::uint8_t> place(std::uint64_t size);
  // So many more bytes of the place are filled. Nothing is written before all are.
  virtual Status filled(std::size_t bytes);
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
  Status read(std::span<std::uint8_t> out) override;
  std::size_t left() const { return bytes_.size(); }

 private:
  ByteView bytes_;
};

class MemorySink final : public ByteSink {
 public:
  Status write(ByteView bytes) override;
  Bytes bytes;
};

// LEB128, 64 bits; a signed number goes zigzag.
void put_varint(Bytes& out, std::uint64_t value);
void put_signed(Bytes& out, std::int64_t value);
void put_fixed(Bytes& out, std::uint64_t value, std::size_t bytes);

// Numbers from a source, with the first fault kept: after it every number is 0. Look at status() before use.
class NumberReader {
 public:
  explicit NumberReader(ByteSource& source) : source_(source) {}
  std::uint64_t fixed(std::size_t bytes);
  std::uint64_t varint();
  std::int64_t signed_varint();
  // A varint of at most `limit`; malformed, with `what` in the sentence, beyond it.
  std::uint64_t bounded(std::uint64_t limit, std::string_view what);
  // `size` bytes, which the caller has bounded, and `more` zeros behind them.
  Bytes bytes(std::size_t size, std::size_t more = 0);
  void fail(std::string_view why);
  const Status& status() const { return status_; }
  bool ok() const { return status_.has_value(); }

 private:
  ByteSource& source_;
  Status status_;
};

}  // namespace drover::delta
