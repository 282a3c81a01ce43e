// The formats behind container.h, one function each: the tensors that a file of that format has, none for any other
// file. Pure; bounded by the file's size.
#pragma once

#include <optional>
#include <vector>

#include "common/delta/container.h"

namespace drover::delta {

std::vector<TensorSpan> onnx_tensors(ByteView file);         // initialisers of the graph, raw or packed
std::vector<TensorSpan> safetensors_tensors(ByteView file);  // F32, F16, BF16, I8, U8
std::vector<TensorSpan> tflite_tensors(ByteView file);       // of all subgraphs, with constant buffers inside the file
std::vector<TensorSpan> gguf_tensors(ByteView file);  // F32, F16, BF16, I8, and Q8_0 as rows of its blocks' bytes

// rows x columns from dimensions, the slowest first: the first against the product of the others. nullopt for a
// dimension of 0 and when they overflow.
std::optional<TensorShape> shape_of(ElementType type, const std::vector<std::uint64_t>& dimensions);

// A file's little-endian numbers at any place. Reading beyond the end gives 0 and remembers it.
class FileNumbers {
 public:
  explicit FileNumbers(ByteView file) : file_(file) {}
  std::uint64_t at(std::uint64_t place, unsigned bytes) {
    if (place > file_.size() || bytes > file_.size() - place) {
      ok_ = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value |= std::uint64_t{file_[place + i]} << 8 * i;
    return value;
  }
  // `size` bytes at `place`; empty and remembered when they are not there.
  ByteView bytes(std::uint64_t place, std::uint64_t size) {
    if (place <= file_.size() && size <= file_.size() - place) return file_.subspan(place, size);
    ok_ = false;
    return {};
  }
  bool ok() const { return ok_; }
  std::uint64_t size() const { return file_.size(); }

 private:
  ByteView file_;
  bool ok_ = true;
};

}  // namespace drover::delta
