#include "agent/validators/onnx/subject.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/validators/onnx/golden.h"
#include "agent/validators/onnx/ort.h"

namespace drover::validators {
namespace {

// Whatever went wrong with a part of the package, it reaches people under the step of validation that needed it.
Error as_step(Code step, std::string_view file, const Error& error) {
  return Error(step, std::string(file) + ": " + error.message());
}

Result<Bytes> read_file(const std::filesystem::path& path, std::uint64_t limit) {
  TRY_ASSIGN(const OpenFile file, OpenFile::open(path, limit));
  return file.read_all();
}

Result<std::vector<float>> read_golden(const std::filesystem::path& folder, const std::string& name,
                                       std::size_t count) {
  auto bytes = read_file(folder / name, kMaxGoldenBytes);
  if (!bytes) return as_step(Code::validate_golden, name, bytes.error());
  return read_floats(*bytes, count).within(name);
}

Status read_labels(const std::filesystem::path& folder, const package::GoldenPolicy& golden, Bytes& labels) {
  if (golden.labels.empty()) return {};
  auto bytes = read_file(folder / golden.labels, kMaxGoldenBytes);
  if (!bytes) return as_step(Code::validate_golden, golden.labels, bytes.error());
  if (bytes->size() != static_cast<std::size_t>(golden.samples))
    return Error(Code::validate_golden, golden.labels + ": one byte a sample is needed");
  labels = std::move(*bytes);
  return {};
}

Status read_golden_set(const std::filesystem::path& folder, Subject& subject) {
  const package::GoldenPolicy& golden = *subject.policy.validation.golden;
  auto input_size = element_count(golden.input_shape, onnx::kMaxElements);
  auto output_size = element_count(golden.output_shape, onnx::kMaxElements);
  if (!input_size) return as_step(Code::validate_golden, "input_shape", input_size.error());
  if (!output_size) return as_step(Code::validate_golden, "output_shape", output_size.error());
  subject.input_size = *input_size;
  subject.output_size = *output_size;
  const auto samples = static_cast<std::size_t>(golden.samples);
  TRY_ASSIGN(subject.inputs, read_golden(folder, golden.inputs, samples * *input_size));
  TRY_ASSIGN(subject.outputs, read_golden(folder, golden.outputs, samples * *output_size));
  return read_labels(folder, golden, subject.labels);
}

// Confidential packages may be links, each to a file in the agent's memory: /proc/<process>/fd/<number>.
bool leads_into_memory(const std::filesystem::path& path) {
  std::error_code error;
  const std::string target = std::filesystem::read_symlink(path, error).string();
  const std::size_t between = target.find("/fd/");
  const auto digits = [&](std::size_t from, std::size_t to) {
    return from < to && target.substr(from, to - from).find_first_not_of("0123456789") == std::string::npos;
  };
  const bool memory = !error && target.starts_with("/proc/") && between != std::string::npos && digits(6, between) &&
                      digits(between + 4, target.size());
  errno = ELOOP;
  return memory;
}

}  // namespace

Result<OpenFile> OpenFile::open(const std::filesystem::path& path, std::uint64_t limit) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  int fd = ::open(path.c_str(), kFlags | O_NOFOLLOW);
  if (fd < 0 && errno == ELOOP && leads_into_memory(path)) fd = ::open(path.c_str(), kFlags);
  if (fd < 0 && errno == ELOOP) return Error(Code::unsafe_path, "is a link");
  if (fd < 0) return Error(errno == ENOENT ? Code::not_found : Code::io, std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0) info.st_mode = 0;
  OpenFile file(fd, static_cast<std::uint64_t>(info.st_size));
  if (!S_ISREG(info.st_mode)) return Error(Code::unsafe_path, "is not a regular file");
  if (file.size_ > limit) return Error(Code::too_large, "is over the limit of " + std::to_string(limit) + " bytes");
  return file;
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Bytes> OpenFile::read_all() const {
  Bytes bytes(size_);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(fd_, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error(Code::io, std::strerror(errno));
    if (count == 0) return Error(Code::io, "has become shorter");
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<package::PackagePolicy> read_policy(const std::filesystem::path& folder) {
  auto bytes = read_file(folder / package::kPolicyFile, package::kMaxPolicyBytes);
  if (!bytes) return as_step(Code::validate_load, package::kPolicyFile, bytes.error());
  auto policy = package::parse_policy(*bytes);
  if (!policy) return as_step(Code::validate_load, package::kPolicyFile, policy.error());
  return policy;
}

Result<Subject> open_subject(const std::filesystem::path& folder) {
  TRY_ASSIGN(package::PackagePolicy policy, read_policy(folder));
  if (policy.runtime != "onnx")
    return Error(Code::validator_missing, "the package wants the runtime " + policy.runtime + ", this one is onnx");
  auto model = OpenFile::open(folder / policy.model_file, kMaxModelBytes);
  if (!model) return as_step(Code::validate_load, policy.model_file, model.error());
  Subject subject{.policy = std::move(policy), .model = std::move(*model), .inputs = {}, .outputs = {}, .labels = {}};
  if (subject.policy.validation.golden) TRY(read_golden_set(folder, subject));
  return subject;
}

}  // namespace drover::validators
