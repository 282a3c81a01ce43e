#include "common/delta/container_formats.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/delta/protobuf.h"

namespace drover::delta {
namespace {

constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;  // the format's own bound

// --- ONNX: only as far as the initialisers -----------------------------------------------------------------------
// TensorProto's numbers for types (onnx.proto).
std::optional<ElementType> onnx_type(std::uint64_t type) {
  switch (type) {
    case 1:
      return ElementType::f32;
    case 2:
    case 3:
      return ElementType::i8;
    case 10:
      return ElementType::f16;
    case 16:
      return ElementType::bf16;
    default:
      return std::nullopt;
  }
}

void add_packed(ByteView packed, std::vector<std::uint64_t>& out) {
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (std::uint8_t byte : packed) {
    value |= static_cast<std::uint64_t>(byte & 127) << shift;
    shift = std::min(shift + 7, 63U);
    if (byte >= 128) continue;
    out.push_back(value);
    value = 0;
    shift = 0;
  }
}

std::optional<TensorSpan> onnx_tensor(ByteView message, const std::uint8_t* file) {
  std::vector<std::uint64_t> dimensions;
  std::uint64_t type = 0;
  std::string name;
  ByteView data;
  for (Fields field(message); field.next();) {
    if (field.number == 1 && field.bytes.empty())
      dimensions.push_back(field.value);
    else if (field.number == 1)
      add_packed(field.bytes, dimensions);
    else if (field.number == 2)
      type = field.value;
    else if (field.number == 8)
      name = as_text(field.bytes);
    else if (field.number == 9 || field.number == 4)
      data = field.bytes;
  }
  const auto element = onnx_type(type);
  if (!element || data.empty()) return std::nullopt;
  const auto shape = shape_of(*element, dimensions);
  if (!shape || shape->bytes() != data.size()) return std::nullopt;
  return TensorSpan{std::move(name), *shape, static_cast<std::uint64_t>(data.data() - file)};
}

}  // namespace

std::vector<TensorSpan> onnx_tensors(ByteView file) {
  std::vector<TensorSpan> found;
  for (Fields model(file); model.next();) {
    if (model.number != 7) continue;
    for (Fields graph(model.bytes); graph.next() && found.size() < kMaxTensors;) {
      if (graph.number != 5) continue;
      if (auto tensor = onnx_tensor(graph.bytes, file.data())) found.push_back(std::move(*tensor));
    }
  }
  return found;
}

namespace {

// --- safetensors: a length, a JSON header, the data ------------------------------------------------------------------
std::optional<ElementType> safetensors_type(const std::string& name) {
  if (name == "F32") return ElementType::f32;
  if (name == "F16") return ElementType::f16;
  if (name == "BF16") return ElementType::bf16;
  if (name == "I8" || name == "U8") return ElementType::i8;
  return std::nullopt;
}

std::optional<TensorSpan> safetensor(const std::string& name, const nlohmann::json& entry, std::uint64_t data,
                                     std::uint64_t end) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
    return std::nullopt;
  const auto& offsets = entry["data_offsets"];
  if (!entry["dtype"].is_string() || !entry["shape"].is_array() || !offsets.is_array() || offsets.size() != 2)
    return std::nullopt;
  std::vector<std::uint64_t> dimensions;
  for (const auto& side : entry["shape"]) {
    if (!side.is_number_unsigned()) return std::nullopt;
    dimensions.push_back(side.get<std::uint64_t>());
  }
  const auto type = safetensors_type(entry["dtype"].get<std::string>());
  if (!type || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) return std::nullopt;
  const auto first = offsets[0].get<std::uint64_t>(), last = offsets[1].get<std::uint64_t>();
  const auto shape = shape_of(*type, dimensions);
  if (!shape || first > last || last > end - data || last - first != shape->bytes()) return std::nullopt;
  return TensorSpan{name, *shape, data + first};
}

}  // namespace

std::vector<TensorSpan> safetensors_tensors(ByteView file) {
  std::vector<TensorSpan> found;
  if (file.size() < 10) return found;
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) length |= static_cast<std::uint64_t>(file[i]) << 8 * i;
  if (length > file.size() - 8 || length > kMaxSafetensorsHeader || file[8] != '{') return found;
  const auto header =
      nlohmann::json::parse(file.begin() + 8, file.begin() + 8 + static_cast<std::ptrdiff_t>(length), nullptr, false);
  if (!header.is_object()) return found;
  for (const auto& [name, entry] : header.items())
    if (auto tensor = safetensor(name, entry, 8 + length, file.size()); tensor && found.size() < kMaxTensors)
      found.push_back(std::move(*tensor));
  return found;
}

// --- all of them ---------------------------------------------------------------------------------------------------
std::optional<TensorShape> shape_of(ElementType type, const std::vector<std::uint64_t>& dimensions) {
  constexpr std::uint64_t kMaxDimension = std::uint64_t{1} << 40;
  TensorShape shape{type, 1, 1};
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    if (dimensions[i] == 0 || dimensions[i] > kMaxDimension) return std::nullopt;
    std::uint64_t& side = i == 0 && dimensions.size() > 1 ? shape.rows : shape.columns;
    if (side > kMaxDimension / dimensions[i]) return std::nullopt;
    side *= dimensions[i];
  }
  if (shape.rows > kMaxDimension / shape.columns) return std::nullopt;
  return shape;
}

std::vector<TensorSpan> find_tensors(ByteView file) {
  std::vector<TensorSpan> found;
  for (auto* tensors_of : {safetensors_tensors, tflite_tensors, gguf_tensors, onnx_tensors}) {
    found = tensors_of(file);
    if (!found.empty()) break;
  }
  std::sort(found.begin(), found.end(), [](const TensorSpan& a, const TensorSpan& b) { return a.offset < b.offset; });
  std::vector<TensorSpan> apart;
  std::uint64_t end = 0;
  for (TensorSpan& tensor : found) {
    if (tensor.offset < end) continue;
    end = tensor.offset + tensor.shape.bytes();
    apart.push_back(std::move(tensor));
  }
  return apart;
}

}  // namespace drover::delta
