// drover-onnx-run MODEL INPUTS OUTPUTS: runs a model on each sample of a file and writes what it gives. Both files are
// raw little-endian float32, sample-major; the model says how large a sample is. For whoever makes golden sets.
#include <cstdio>
#include <fstream>
#include <iterator>

#include "agent/validators/onnx/golden.h"
#include "agent/validators/onnx/ort.h"

namespace drover {
namespace {

Result<Bytes> read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(Code::not_found, std::string("cannot read ") + path);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

Status run_all(onnx::Session& session, const std::vector<float>& inputs, std::ofstream& out) {
  std::vector<std::int64_t> shape = session.input_shape();
  for (std::int64_t& dimension : shape) dimension = dimension < 0 ? 1 : dimension;
  TRY_ASSIGN(const std::size_t size, validators::element_count(shape, onnx::kMaxElements));
  if (inputs.size() % size != 0) return Error(Code::malformed, "the inputs are not a whole number of samples");
  std::vector<float> output;
  for (std::size_t start = 0; start < inputs.size(); start += size) {
    TRY(session.run(std::span(inputs).subspan(start, size), shape, output));
    out.write(reinterpret_cast<const char*>(output.data()),
              static_cast<std::streamsize>(output.size() * sizeof(float)));
  }
  return {};
}

Status run(char** paths) {
  TRY_ASSIGN(const onnx::Runtime runtime, onnx::Runtime::open(onnx::runtime_path()));
  TRY_ASSIGN(const Bytes model, read_file(paths[0]));
  TRY_ASSIGN(onnx::Session session, runtime.load(model));
  TRY_ASSIGN(const Bytes bytes, read_file(paths[1]));
  TRY_ASSIGN(const std::vector<float> inputs, validators::read_floats(bytes, bytes.size() / sizeof(float)));
  std::ofstream out(paths[2], std::ios::binary);
  TRY(run_all(session, inputs, out));
  out.flush();
  if (!out) return Error(Code::io, std::string("cannot write ") + paths[2]);
  return {};
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: drover-onnx-run MODEL INPUTS OUTPUTS\n", stderr);
    return 2;
  }
  const drover::Status status = drover::run(argv + 1);
  if (status) return 0;
  std::fprintf(stderr, "drover-onnx-run: %s\n", status.error().message().c_str());
  return 1;
}
