// Where the tensors of a file are, by the file's own word; and its quantised weights, which are moved onto scales of
// the file itself and looked for in it.
#include "common/delta/container.h"

#include "common/delta/float_source.h"
#include "common/delta/rescale.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/models.h"

namespace drover::fuzz {
namespace {

// Protobuf: field `number` of `bytes`, all below 128 bytes.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

void quantised(ByteView input) {
  const delta::FloatSource source(input);
  for (const delta::QuantisedWeight& weight : delta::find_quantised(input)) {
    require(weight.elements <= input.size() && weight.offset <= input.size() - weight.elements,
            "quantised weights lie within the file");
    require(weight.channels > 0 && weight.channels <= input.size() / sizeof(float) &&
                weight.scales <= input.size() - weight.channels * sizeof(float),
            "their scales do too");
    require(weight.inner > 0, "every weight has a scale");
    (void)source.weights_of(input, weight);
  }
  Bytes moved(input.begin(), input.end());
  const auto kept = delta::keep_scales(input, {}, moved);
  require(!kept || moved == Bytes(input.begin(), input.end()), "on its own scales a model stays what it is");
}

}  // namespace

void run(ByteView input) {
  quantised(input);
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
  // Two by two int8 numbers, a scale of 1 for each row, the node that reads them, and the floats they came from.
  const std::string sides = std::string{0x08, 2, 0x08, 2}, ones("\0\0\x80\x3f\0\0\x80\x3f", 8);
  const std::string numbers = sides + std::string{0x10, 3} + field(8, "q") + field(9, "\1\2\3\4");
  const std::string scales = std::string{0x08, 2, 0x10, 1} + field(8, "s") + field(9, ones);
  const std::string floats = sides + std::string{0x10, 1} + field(8, "d") + field(9, ones + ones);
  const std::string axis = field(5, field(1, "axis") + std::string{0x18, 0});
  const std::string node = field(1, "q") + field(1, "s") + field(2, "d") + field(4, "DequantizeLinear") + axis;
  seeds.push_back(field(7, field(1, node) + field(5, numbers) + field(5, scales) + field(5, floats)));
  return seeds;
}

}  // namespace drover::fuzz
