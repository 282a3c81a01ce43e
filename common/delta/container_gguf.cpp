#include <algorithm>

#include "common/delta/container_formats.h"

namespace drover::delta {
namespace {

// GGUF, versions 2 and 3, little-endian: a header, metadata as key and value, tensor descriptions, aligned data.
constexpr std::uint64_t kDefaultAlignment = 32, kMaxAlignment = 1 << 20;
constexpr std::uint32_t kString = 8, kArray = 9;
constexpr std::uint64_t kQ8Block = 32, kQ8BlockBytes = 34;  // a scale of 16 bits, 32 numbers of 8

class Reader {
 public:
  explicit Reader(ByteView file) : file_(file) {}
  std::uint64_t number(unsigned bytes) {
    const std::uint64_t value = file_.at(at_, bytes);
    at_ += bytes;
    return value;
  }
  std::string_view text() {
    const std::uint64_t size = number(8);
    const ByteView bytes = file_.bytes(at_, size);
    at_ += bytes.size();
    return as_text(bytes);
  }
  void skip(std::uint64_t bytes) {
    (void)file_.bytes(at_, bytes);
    at_ += file_.ok() ? bytes : 0;
  }
  // Past a value of this type; its number, where it is one of 4 bytes.
  std::uint64_t value(std::uint32_t type) {
    if (type == kString) return text(), 0;
    if (type == kArray) return array(), 0;
    const unsigned size = size_of(type);
    if (size == 4) return number(4);
    skip(size);
    return 0;
  }
  bool ok() const { return file_.ok() && !unknown_; }
  std::uint64_t at() const { return at_; }

 private:
  unsigned size_of(std::uint32_t type) {
    constexpr unsigned kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    const unsigned size = type < std::size(kSizes) ? kSizes[type] : 0;
    unknown_ = unknown_ || size == 0;
    return size;
  }
  void array() {  // of numbers or strings; nobody writes arrays of arrays
    const auto type = static_cast<std::uint32_t>(number(4));
    const std::uint64_t count = number(8);
    if (type == kString) {
      for (std::uint64_t i = 0; i < count && ok(); ++i) (void)text();
      return;
    }
    const unsigned size = size_of(type);
    skip(size != 0 && count > file_.size() ? UINT64_MAX : count * size);
  }
  FileNumbers file_;
  std::uint64_t at_ = 0;
  bool unknown_ = false;
};

struct Description {
  std::string name;
  std::optional<TensorShape> shape;
  std::uint64_t offset = 0;
};

// `sides`: the fastest first.
std::optional<TensorShape> shape_for(std::uint64_t type, std::vector<std::uint64_t> sides) {
  std::reverse(sides.begin(), sides.end());
  switch (type) {
    case 0:
      return shape_of(ElementType::f32, sides);
    case 1:
      return shape_of(ElementType::f16, sides);
    case 8:  // the columns of the scales get a scale of their own
      if (sides.empty() || sides.back() % kQ8Block != 0 || sides.back() > (std::uint64_t{1} << 40)) return std::nullopt;
      sides.back() = sides.back() / kQ8Block * kQ8BlockBytes;
      return shape_of(ElementType::i8, sides);
    case 24:
      return shape_of(ElementType::i8, sides);
    case 30:
      return shape_of(ElementType::bf16, sides);
    default:
      return std::nullopt;
  }
}

std::optional<Description> describe(Reader& in) {
  Description out;
  out.name = in.text();
  const std::uint64_t rank = in.number(4);
  if (rank > 16) return std::nullopt;
  std::vector<std::uint64_t> sides;
  for (std::uint64_t i = 0; i < rank; ++i) sides.push_back(in.number(8));
  out.shape = shape_for(in.number(4), std::move(sides));
  out.offset = in.number(8);
  return in.ok() ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

std::vector<TensorSpan> gguf_tensors(ByteView file) {
  std::vector<TensorSpan> found;
  if (file.size() < 24 || as_text(file.first(4)) != "GGUF") return found;
  Reader in(file);
  in.skip(4);
  const std::uint64_t version = in.number(4), tensors = in.number(8), pairs = in.number(8);
  if (version < 2 || version > 3 || tensors > kMaxTensors) return found;
  std::uint64_t alignment = kDefaultAlignment;
  for (std::uint64_t i = 0; i < pairs && in.ok(); ++i) {
    const std::string_view key = in.text();
    const std::uint64_t value = in.value(static_cast<std::uint32_t>(in.number(4)));
    if (key == "general.alignment") alignment = value;
  }
  std::vector<Description> described;
  for (std::uint64_t i = 0; i < tensors && in.ok(); ++i) {
    auto one = describe(in);
    if (!one) return found;
    described.push_back(std::move(*one));
  }
  if (!in.ok() || alignment == 0 || alignment > kMaxAlignment) return found;
  const std::uint64_t data = (in.at() + alignment - 1) / alignment * alignment;
  for (Description& one : described) {
    const std::uint64_t room = data <= file.size() ? file.size() - data : 0;
    if (!one.shape || one.offset > room || one.shape->bytes() > room - one.offset) continue;
    found.push_back({std::move(one.name), *one.shape, data + one.offset});
  }
  return found;
}

}  // namespace drover::delta
