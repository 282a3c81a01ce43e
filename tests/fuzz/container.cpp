// Where the tensors of a file are, by the file's own word.
#include "common/delta/container.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/models.h"

namespace drover::fuzz {
namespace {

// Protobuf: field `number` of `bytes`, all below 128 bytes.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

}  // namespace

void run(ByteView input) {
  std::uint64_t end = 0;
  for (const delta::TensorSpan& tensor : delta::find_tensors(input)) {
    require(tensor.offset >= end, "tensors stand in order and apart");
    require(tensor.shape.bytes() <= input.size() && tensor.offset <= input.size() - tensor.shape.bytes(),
            "tensors lie within the file");
    end = tensor.offset + tensor.shape.bytes();
  }
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds;
  for (const Pair& pair : model_pairs()) seeds.push_back(text_of(pair.before).substr(0, 700));
  seeds.push_back(text_of(delta::testing::safetensors(
      {{"a", "F32", {2, 2}, Bytes(16)}, {"b", "BF16", {3}, Bytes(6)}, {"c", "U8", {}, Bytes(1)}})));
  const std::string raw =
      field(1, std::string{2, 3}) + std::string{0x10, 1} + field(8, "w") + field(9, std::string(24, 1));
  const std::string packed = std::string{0x08, 2, 0x10, 1} + field(8, "b") + field(4, std::string(8, 2));
  seeds.push_back(std::string{0x08, 9} + field(7, field(5, raw) + field(5, packed)));
  return seeds;
}

}  // namespace drover::fuzz
