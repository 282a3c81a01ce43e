// One variant of a release as people write it: KIND=DIR[,precision=int8][,arch=arm64][,runtime=onnx][,accelerator=npu].
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/package/layout.h"

namespace drover::cli {

// Without arch= the processor is guessed from the kind's last part (kiosk-arm64: arm64), else it is amd64.
// Errors: invalid_argument that names the part and shows the form.
Result<package::VariantSpec> parse_variant(std::string_view text);

// "x64" and "x86_64" to OCI's "amd64", "aarch64" to "arm64"; other names pass.
std::string oci_architecture(std::string_view name);

}  // namespace drover::cli
