// ONNX Runtime without its headers: the shared library is opened at run time and its C functions are called through the
// table that it hands out. The table only ever grows at its end, so the few slot numbers that ort.cpp names hold for
// every release from 1.14 on (checked with 1.14, 1.20, 1.23.2).
//
// One thread: sessions compute on the calling thread and start none. Models take one input and give at least one output
// (the first counts), both float32; that is what a golden set can hold.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::onnx {

// More dimensions than any model has; and a bound on the elements of one input or output (256 MiB of float32).
inline constexpr std::size_t kMaxDimensions = 16;
inline constexpr std::size_t kMaxElements = std::size_t{1} << 26;

class Api;

// A loaded model. Not thread-safe; outlives the Runtime it came from (shares its library).
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // As declared in the model; -1 for a dimension that is free (as the batch usually is).
  const std::vector<std::int64_t>& input_shape() const { return input_shape_; }

  // Runs one input of exactly `shape` and replaces `output` by the first output's values.
  // Errors: validate_load (the model computes something that does not fit, or fails), validate_memory (it ran out of
  // it).
  Status run(std::span<const float> input, std::span<const std::int64_t> shape, std::vector<float>& output);

 private:
  friend class Runtime;
  Session(std::shared_ptr<const Api> api, void* handle) : api_(std::move(api)), handle_(handle) {}
  Status learn_names();
  Status copy_output(void* value, std::vector<float>& output) const;

  std::shared_ptr<const Api> api_;
  void* handle_;
  std::string input_name_;
  std::string output_name_;
  std::vector<std::int64_t> input_shape_;
};

// The library and its environment. The library stays open until the process ends.
class Runtime {
 public:
  // Errors: validator_missing (no such file, not a library for this machine, not ONNX Runtime, or one that is too old).
  static Result<Runtime> open(const std::string& path);

  // "onnxruntime 1.23.2".
  const std::string& version() const { return version_; }

  // The model's bytes are needed during the call only.
  // Errors: validate_load (with what the runtime says), validate_memory.
  Result<Session> load(ByteView model) const;

 private:
  Runtime() = default;
  std::shared_ptr<const Api> api_;
  std::string version_;
};

// The path that the environment variable DROVER_ONNXRUNTIME names, else the name that the dynamic linker looks for.
std::string runtime_path();

}  // namespace drover::onnx
