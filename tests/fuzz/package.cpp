// What a package and a release say of themselves: manifest, index, config, policy.
#include "common/package/manifest.h"
#include "common/package/policy.h"
#include "tests/fuzz/fuzz.h"

namespace drover::fuzz {
namespace {

// What was read, written, and read again is written the same.
template <class Parse, class Print>
void round_trip(ByteView input, Parse parse, Print print) {
  const auto value = parse(input);
  if (!value) return;
  const std::string once = print(*value);
  const auto again = parse(as_bytes(once));
  require(again.has_value(), "what is written is read");
  require(print(*again) == once, "and written the same");
}

package::Manifest example() {
  package::Manifest manifest;
  manifest.config.media_type = package::kConfigType;
  manifest.config.digest = crypto::sha256(std::string_view("config"));
  manifest.config.size = 6;
  manifest.files = {{"drover.json", crypto::sha256(std::string_view("p")), 6, std::string(package::kWeightConfigLayer)},
                    {"dir/model.onnx", crypto::sha256(std::string_view("w")), 7, std::string(package::kWeightLayer)}};
  return manifest;
}

package::Index example_index() {
  package::Index index;
  index.model = "mnist";
  index.version = "1.0.0";
  for (const char* kind : {"kiosk-x64", "kiosk-arm"}) {
    package::Variant variant;
    variant.kind = kind;
    variant.architecture = "amd64";
    variant.precision = "int8";
    variant.runtime = "onnx";
    variant.descriptor.digest = crypto::sha256(std::string_view(kind));
    variant.descriptor.size = 1000;
    index.variants.push_back(std::move(variant));
  }
  return index;
}

package::PackagePolicy example_policy() {
  package::PackagePolicy policy;
  policy.model_file = "dir/model.onnx";
  policy.runtime = "onnx";
  policy.validation.golden.emplace();
  policy.validation.golden->inputs = "golden/in.bin";
  policy.validation.golden->outputs = "golden/out.bin";
  policy.validation.golden->samples = 4;
  policy.validation.golden->input_shape = {1, 28, 28};
  policy.validation.golden->output_shape = {10};
  policy.validation.latency.emplace();
  policy.validation.memory.emplace();
  return policy;
}

}  // namespace

void run(ByteView input) {
  round_trip(input, package::parse_manifest, package::print_manifest);
  round_trip(input, package::parse_index, package::print_index);
  round_trip(input, package::parse_config, package::print_config);
  round_trip(input, package::parse_policy, package::print_policy);
  if (const auto manifest = package::parse_manifest(input)) {
    std::uint64_t sum = 0;
    for (const package::File& file : manifest->files) {
      require(!file.path.empty() && file.path.front() != '/' && file.path.find("..") != 0, "paths stay inside");
      sum += file.size;
    }
    require(manifest->total_bytes() == sum && sum <= INT64_MAX, "sizes are summed without overflow");
  }
}

std::vector<std::string> seeds() {
  package::ModelConfig config;
  config.name = "mnist";
  config.version = "1.0.0";
  config.format = "onnx";
  config.layers = {crypto::sha256(std::string_view("w"))};
  return {package::print_manifest(example()), package::print_index(example_index()), package::print_config(config),
          package::print_policy(example_policy())};
}

}  // namespace drover::fuzz
