#include "common/delta/stream.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace drover::delta {

std::span<std::uint8_t> ByteSink::place(std::uint64_t) { return {}; }

Status ByteSink::filled(std::size_t) { return Error(Code::internal, "there is no place to fill"); }

Status MemorySource::read(std::span<std::uint8_t> out) {
  if (out.size() > bytes_.size()) return Error(Code::malformed, "the delta is cut short");
  std::copy_n(bytes_.begin(), out.size(), out.begin());
  bytes_ = bytes_.subspan(out.size());
  return {};
}

Status MemorySink::write(ByteView more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
  return {};
}

void put_varint(Bytes& out, std::uint64_t value) {
  while (value >= 128) {
    out.push_back(static_cast<std::uint8_t>(value | 128));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

void put_signed(Bytes& out, std::int64_t value) {
  put_varint(out, static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63));
}

void put_fixed(Bytes& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

void NumberReader::fail(std::string_view why) {
  if (status_) status_ = Error(Code::malformed, std::string(why));
}

std::uint64_t NumberReader::fixed(std::size_t bytes) {
  std::uint8_t raw[8] = {};
  if (ok()) status_ = source_.read({raw, bytes});
  if (!ok()) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= static_cast<std::uint64_t>(raw[i]) << 8 * i;
  return value;
}

std::uint64_t NumberReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint64_t byte = fixed(1);
    if (!ok()) return 0;
    if (shift == 63 && byte > 1) break;
    value |= (byte & 127) << shift;
    if (byte < 128) return value;
  }
  fail("a number in the delta is too long");
  return 0;
}

std::int64_t NumberReader::signed_varint() {
  const std::uint64_t value = varint();
  return static_cast<std::int64_t>(value >> 1 ^ (0 - (value & 1)));
}

std::uint64_t NumberReader::bounded(std::uint64_t limit, std::string_view what) {
  const std::uint64_t value = varint();
  if (ok() && value > limit) fail(std::string(what) + " is over its bound of " + std::to_string(limit));
  return ok() ? value : 0;
}

Bytes NumberReader::bytes(std::size_t size, std::size_t more) {
  Bytes out(ok() ? size + more : 0);
  if (ok()) status_ = source_.read({out.data(), size});
  if (!ok()) out.clear();
  return out;
}

}  // namespace drover::delta
