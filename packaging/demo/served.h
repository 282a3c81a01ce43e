// The model that the demo's application serves: one package, loaded, with the frames that stand for its camera.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/validators/onnx/ort.h"
#include "agent/validators/onnx/subject.h"
#include "common/base/result.h"
#include "common/rng/rng.h"

namespace drover::demo {

inline constexpr std::size_t kMaxLabelsBytes = 64 * 1024;

class Served {
 public:
  // `folder` is the resolved folder of the package, packages/<hex>: its last name is the package's digest. Always gives
  // an object: what cannot be loaded is there too, and says why it is unwell.
  Served(const onnx::Runtime& runtime, std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  // "sha256:<hex>".
  std::string package() const { return "sha256:" + folder_.filename().string(); }

  // Classifies one frame: an image of the package's own, with noise. Remembers a failure as being unwell.
  void serve_frame(Rng& rng);

  bool well() const { return health_.has_value(); }
  // A sentence about how it is.
  std::string describe() const;

 private:
  Status load(const onnx::Runtime& runtime);
  Status load_labels(std::size_t outputs);
  Status classify(Rng& rng);

  std::filesystem::path folder_;
  std::optional<validators::Subject> subject_;
  std::optional<onnx::Session> session_;
  std::vector<std::string> labels_;
  std::vector<std::int64_t> shape_;
  std::vector<float> frame_;
  std::vector<float> output_;
  std::uint64_t frames_ = 0;
  std::size_t last_class_ = 0;
  Status health_;
};

}  // namespace drover::demo
