#include "common/delta/container_formats.h"

namespace drover::delta {
namespace {

// FlatBuffers, as far as this schema needs them: tables with a table of field offsets, vectors with their length in
// front, references forward from where they stand. Field numbers are those of TensorFlow Lite's schema.fbs, version 3.
constexpr std::uint64_t kMaxVector = 1 << 20;  // entries of a vector of tables

class Table {
 public:
  Table(FileNumbers& file, std::uint64_t place) : file_(file), place_(place) {
    const auto back = static_cast<std::int32_t>(file.at(place, 4));
    fields_ = place - static_cast<std::uint64_t>(static_cast<std::int64_t>(back));
    fields_size_ = file.at(fields_, 2);
  }
  // Where the field stands; 0 when the table does not have it.
  std::uint64_t field(unsigned number) {
    const std::uint64_t entry = 4 + 2 * std::uint64_t{number};
    const std::uint64_t offset = entry + 2 <= fields_size_ ? file_.at(fields_ + entry, 2) : 0;
    return offset == 0 ? 0 : place_ + offset;
  }
  // What the field refers to; 0 when there is nothing.
  std::uint64_t target(unsigned number) {
    const std::uint64_t at = field(number);
    return at == 0 ? 0 : at + file_.at(at, 4);
  }
  std::uint64_t number(unsigned which, unsigned bytes) {
    const std::uint64_t at = field(which);
    return at == 0 ? 0 : file_.at(at, bytes);
  }
  // The places of the tables of a vector.
  std::vector<std::uint64_t> tables(unsigned which) {
    std::vector<std::uint64_t> out;
    const std::uint64_t vector = target(which);
    const std::uint64_t count = vector == 0 ? 0 : file_.at(vector, 4);
    if (count > kMaxVector) return out;
    for (std::uint64_t i = 0; i < count && file_.ok(); ++i) {
      const std::uint64_t entry = vector + 4 + 4 * i;
      out.push_back(entry + file_.at(entry, 4));
    }
    return out;
  }

 private:
  FileNumbers& file_;
  std::uint64_t place_, fields_ = 0, fields_size_ = 0;
};

std::optional<ElementType> element_type(std::uint64_t type) {
  switch (type) {
    case 0:
      return ElementType::f32;
    case 1:
      return ElementType::f16;
    case 3:
    case 9:
      return ElementType::i8;
    case 18:
      return ElementType::bf16;
    default:
      return std::nullopt;
  }
}

// Where a buffer's bytes are: in a vector, or (in files of over 2 GB) behind the FlatBuffer.
struct Stored {
  std::uint64_t offset = 0, size = 0;
};
Stored stored(FileNumbers& file, std::uint64_t buffer) {
  Table table(file, buffer);
  const std::uint64_t vector = table.target(0);
  if (vector != 0) return {vector + 4, file.at(vector, 4)};
  return {table.number(1, 8), table.number(2, 8)};
}

std::optional<TensorSpan> tensor_of(FileNumbers& file, std::uint64_t place, const std::vector<std::uint64_t>& buffers) {
  Table tensor(file, place);
  const auto type = element_type(tensor.number(1, 1));
  const std::uint64_t buffer = tensor.number(2, 4), shape_at = tensor.target(0), name_at = tensor.target(3);
  if (!type || buffer == 0 || buffer >= buffers.size() || shape_at == 0) return std::nullopt;
  const std::uint64_t rank = file.at(shape_at, 4);
  if (rank > 16) return std::nullopt;
  std::vector<std::uint64_t> dimensions;
  for (std::uint64_t i = 0; i < rank; ++i) dimensions.push_back(file.at(shape_at + 4 + 4 * i, 4));
  const auto shape = shape_of(*type, dimensions);
  const Stored data = stored(file, buffers[buffer]);
  if (!shape || shape->bytes() != data.size || file.bytes(data.offset, data.size).empty()) return std::nullopt;
  const ByteView name = name_at == 0 ? ByteView{} : file.bytes(name_at + 4, file.at(name_at, 4));
  return TensorSpan{std::string(as_text(name)), *shape, data.offset};
}

}  // namespace

std::vector<TensorSpan> tflite_tensors(ByteView bytes) {
  std::vector<TensorSpan> found;
  if (bytes.size() < 8 || as_text(bytes.subspan(4, 4)) != "TFL3") return found;
  FileNumbers file(bytes);
  Table model(file, file.at(0, 4));
  const std::vector<std::uint64_t> buffers = model.tables(4);
  for (std::uint64_t place : model.tables(2)) {
    Table graph(file, place);
    for (std::uint64_t tensor : graph.tables(0)) {
      if (!file.ok() || found.size() >= kMaxTensors) return found;
      if (auto span = tensor_of(file, tensor, buffers)) found.push_back(std::move(*span));
    }
  }
  return found;
}

}  // namespace drover::delta
