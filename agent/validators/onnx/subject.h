// One package as the validator sees it: its policy and its files, opened before anything of it is trusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/package/policy.h"

namespace drover::validators {

// A model is one file, and the format itself ends at 2 GiB. Golden files are small beside it.
inline constexpr std::uint64_t kMaxModelBytes = std::uint64_t{2} << 30;
inline constexpr std::uint64_t kMaxGoldenBytes = std::uint64_t{256} << 20;

// A regular file, open for reading: still readable where nothing can be opened any more.
class OpenFile {
 public:
  // Errors: not_found, unsafe_path (a link or no regular file), too_large, io.
  static Result<OpenFile> open(const std::filesystem::path& path, std::uint64_t limit);
  OpenFile(OpenFile&& other) noexcept : fd_(other.fd_), size_(other.size_) { other.fd_ = -1; }
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();

  // The whole file. Errors: io, also when it is not as long as it was when it was opened.
  Result<Bytes> read_all() const;

 private:
  OpenFile(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
  int fd_;
  std::uint64_t size_;
};

// The policy of the package in `folder`. Errors: validate_load (absent, unreadable or wrong; says where).
Result<package::PackagePolicy> read_policy(const std::filesystem::path& folder);

struct Subject {
  package::PackagePolicy policy;
  OpenFile model;
  // The golden set; all empty when the policy has none.
  std::vector<float> inputs;
  std::vector<float> outputs;
  Bytes labels;
  std::size_t input_size = 0;  // floats of one sample
  std::size_t output_size = 0;

  std::span<const float> input(std::size_t sample) const {
    return std::span(inputs).subspan(sample * input_size, input_size);
  }
  std::span<const float> output(std::size_t sample) const {
    return std::span(outputs).subspan(sample * output_size, output_size);
  }
};

// Errors: validate_load (policy or model), validate_golden (the golden set's files).
Result<Subject> open_subject(const std::filesystem::path& folder);

}  // namespace drover::validators
