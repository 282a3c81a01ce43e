// Does a model folder hold what its drover.json promises?
#include <algorithm>
#include <functional>
#include <numeric>

#include "common/package/layout_impl.h"
#include "common/package/policy.h"

namespace drover::package {
namespace {

const FoundFile* find(const std::vector<FoundFile>& files, const std::string& path) {
  const auto found = std::find_if(files.begin(), files.end(), [&](const FoundFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

Status check_present(const std::vector<FoundFile>& files, const std::string& path) {
  if (find(files, path) != nullptr) return {};
  return Error(Code::invalid_argument, "drover.json names \"" + path + "\", which is not in the folder");
}

Status check_size(const std::vector<FoundFile>& files, const std::string& path, std::uint64_t expected) {
  TRY(check_present(files, path));
  const std::uint64_t size = find(files, path)->size;
  if (size == expected) return {};
  return Error(Code::invalid_argument, "\"" + path + "\" has " + std::to_string(size) +
                                           " bytes, and drover.json describes " + std::to_string(expected));
}

std::uint64_t float_bytes(std::int64_t samples, const std::vector<std::int64_t>& shape) {
  // Bounded by the policy's parser: 10^6 samples of 2^28 floats stay below 2^52.
  const std::int64_t elements = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  return static_cast<std::uint64_t>(samples) * static_cast<std::uint64_t>(elements) * sizeof(float);
}

}  // namespace

Status check_policy_files(const Bytes& text, const std::vector<FoundFile>& files) {
  TRY_ASSIGN(const PackagePolicy policy, parse_policy(text).within(kPolicyFile));
  TRY(check_present(files, policy.model_file));
  if (!policy.validation.golden) return {};
  const GoldenPolicy& golden = *policy.validation.golden;
  TRY(check_size(files, golden.inputs, float_bytes(golden.samples, golden.input_shape)));
  TRY(check_size(files, golden.outputs, float_bytes(golden.samples, golden.output_shape)));
  if (golden.labels.empty()) return {};
  return check_size(files, golden.labels, static_cast<std::uint64_t>(golden.samples));
}

}  // namespace drover::package
