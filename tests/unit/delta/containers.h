// Small model files of every format that the codec knows, written by the formats' own rules. For tests.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/delta/models.h"

namespace drover::delta::testing {

using Tensors = std::vector<NamedTensor>;  // dtype in safetensors' words

inline void append(Bytes& out, ByteView more) { out.insert(out.end(), more.begin(), more.end()); }

// --- ONNX ------------------------------------------------------------------------------------------------------------
inline Bytes protobuf_field(int number, ByteView bytes) {
  Bytes out;
  put_varint(out, static_cast<std::uint64_t>(number << 3 | 2));
  put_varint(out, bytes.size());
  append(out, bytes);
  return out;
}
inline Bytes onnx(const Tensors& tensors) {
  const std::map<std::string, std::uint8_t> types = {{"F32", 1}, {"I8", 3}, {"F16", 10}, {"BF16", 16}};
  Bytes graph;
  for (const NamedTensor& tensor : tensors) {
    Bytes one;
    for (std::uint64_t side : tensor.shape) {
      one.push_back(1 << 3);
      put_varint(one, side);
    }
    append(one, Bytes{2 << 3, types.at(tensor.dtype)});
    append(one, protobuf_field(8, as_bytes(tensor.name)));
    append(one, protobuf_field(9, tensor.data));
    append(graph, protobuf_field(5, one));
  }
  Bytes model = {1 << 3, 8};
  append(model, protobuf_field(7, graph));
  return model;
}

// --- TensorFlow Lite: a FlatBuffer from front to back, whose references are filled in when their targets stand
// ----------
class FlatFile {
 public:
  Bytes bytes = Bytes(4);
  struct Field {
    unsigned size = 0;  // 0: the table does not have it
    std::uint64_t value = 0;
  };
  // Places of the fields of a new table, which begins at `table`.
  std::vector<std::size_t> table(const std::vector<Field>& fields, std::size_t& table) {
    align(8);
    const std::size_t offsets = bytes.size();
    std::size_t end = 4;
    put_fixed(bytes, 4 + 2 * fields.size(), 2);
    Bytes entries;
    for (const Field& field : fields) {
      if (field.size > 0) end = (end + field.size - 1) / field.size * field.size;
      put_fixed(entries, field.size > 0 ? end : 0, 2);
      end += field.size;
    }
    put_fixed(bytes, end, 2);
    append(bytes, entries);
    align(8);
    table = bytes.size();
    bytes.resize(table + end);
    fill(table, table - offsets, 4);
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const std::size_t place = table + entries[2 * i] + entries[2 * i + 1] * std::size_t{256};
      places.push_back(place);
      if (fields[i].size > 0) fill(place, fields[i].value, fields[i].size);
    }
    return places;
  }
  // A vector with its length in front, its first entry aligned; where the length stands.
  std::size_t vector(std::uint64_t length, ByteView content, std::size_t alignment = 4) {
    while ((bytes.size() + 4) % alignment != 0) bytes.push_back(0);
    const std::size_t place = bytes.size();
    put_fixed(bytes, length, 4);
    append(bytes, content);
    return place;
  }
  void refer(std::size_t from, std::size_t to) { fill(from, to - from, 4); }
  void fill(std::size_t place, std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes[place + i] = static_cast<std::uint8_t>(value >> 8 * i);
  }

 private:
  void align(std::size_t to) {
    while (bytes.size() % to != 0) bytes.push_back(0);
  }
};

inline Bytes tflite(const Tensors& tensors) {
  const std::map<std::string, std::uint64_t> types = {{"F32", 0}, {"F16", 1}, {"I8", 9}, {"BF16", 18}};
  FlatFile file;
  append(file.bytes, as_bytes("TFL3"));
  std::size_t model = 0, graph = 0, at = 0;
  const auto of_model = file.table({{4, 3}, {}, {4, 0}, {}, {4, 0}}, model);
  file.refer(0, model);
  const std::size_t graphs = file.vector(1, Bytes(4));
  file.refer(of_model[2], graphs);
  const auto of_graph = file.table({{4, 0}}, graph);
  file.refer(graphs + 4, graph);
  const std::size_t list = file.vector(tensors.size(), Bytes(4 * tensors.size()));
  file.refer(of_graph[0], list);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto fields = file.table({{4, 0}, {1, types.at(tensors[i].dtype)}, {4, i + 1}, {4, 0}}, at);
    file.refer(list + 4 + 4 * i, at);
    Bytes sides;
    for (std::uint64_t side : tensors[i].shape) put_fixed(sides, side, 4);
    file.refer(fields[0], file.vector(tensors[i].shape.size(), sides));
    file.refer(fields[3], file.vector(tensors[i].name.size(), as_bytes(tensors[i].name)));
  }
  const std::size_t buffers = file.vector(tensors.size() + 1, Bytes(4 * (tensors.size() + 1)));
  file.refer(of_model[4], buffers);
  file.table({{}}, at);  // buffer 0 is empty by convention
  file.refer(buffers + 4, at);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto fields = file.table({{4, 0}}, at);
    file.refer(buffers + 8 + 4 * i, at);
    file.refer(fields[0], file.vector(tensors[i].data.size(), tensors[i].data, 16));
  }
  return file.bytes;
}

// --- GGUF ------------------------------------------------------------------------------------------------------------
inline void put_text(Bytes& out, std::string_view text) {
  put_fixed(out, text.size(), 8);
  append(out, as_bytes(text));
}
inline Bytes gguf(const Tensors& tensors) {
  const std::map<std::string, std::uint64_t> types = {{"F32", 0}, {"F16", 1}, {"I8", 24}, {"BF16", 30}, {"Q8_0", 8}};
  constexpr std::size_t kAlignment = 64;
  Bytes out;
  append(out, as_bytes("GGUF"));
  put_fixed(out, 3, 4);
  put_fixed(out, tensors.size(), 8);
  put_fixed(out, 3, 8);
  put_text(out, "general.name");
  put_fixed(out, 8, 4);
  put_text(out, "a small one");
  put_text(out, "words");
  put_fixed(out, 9, 4);
  put_fixed(out, 8, 4);
  put_fixed(out, 2, 8);
  put_text(out, "one");
  put_text(out, "two");
  put_text(out, "general.alignment");
  put_fixed(out, 4, 4);
  put_fixed(out, kAlignment, 4);
  Bytes data;
  for (const NamedTensor& tensor : tensors) {
    data.resize((data.size() + kAlignment - 1) / kAlignment * kAlignment);
    put_text(out, tensor.name);
    put_fixed(out, tensor.shape.size(), 4);
    for (auto side = tensor.shape.rbegin(); side != tensor.shape.rend(); ++side) put_fixed(out, *side, 8);
    put_fixed(out, types.at(tensor.dtype), 4);
    put_fixed(out, data.size(), 8);
    append(data, tensor.data);
  }
  out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment);
  append(out, data);
  return out;
}

inline Bytes raw(const Tensors& tensors) {
  Bytes out;
  for (const NamedTensor& tensor : tensors) append(out, tensor.data);
  return out;
}

}  // namespace drover::delta::testing
