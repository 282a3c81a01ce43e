#include "packaging/demo/served.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "agent/validators/onnx/golden.h"

namespace drover::demo {
namespace {

constexpr double kNoise = 0.05;  // far below what changes a class

// Uniform in -1..1.
double any(Rng& rng) { return static_cast<double>(rng.next() >> 11) / static_cast<double>(std::uint64_t{1} << 52) - 1; }

}  // namespace

Served::Served(const onnx::Runtime& runtime, std::filesystem::path folder) : folder_(std::move(folder)) {
  health_ = load(runtime);
}

Status Served::load(const onnx::Runtime& runtime) {
  TRY_ASSIGN(validators::Subject subject, validators::open_subject(folder_));
  subject_.emplace(std::move(subject));
  if (!subject_->policy.validation.golden) return Error(Code::unsupported, "the package brings no images to show");
  TRY_ASSIGN(const Bytes model, subject_->model.read_all());
  TRY_ASSIGN(onnx::Session session, runtime.load(model));
  session_.emplace(std::move(session));
  const auto& sample = subject_->policy.validation.golden->input_shape;
  shape_.assign(1, 1);
  shape_.insert(shape_.end(), sample.begin(), sample.end());
  return load_labels(subject_->output_size);
}

// What a real application does, too: it shows names, so it needs one for each output.
Status Served::load_labels(std::size_t outputs) {
  TRY_ASSIGN(const validators::OpenFile file,
             validators::OpenFile::open(folder_ / "labels.txt", kMaxLabelsBytes).within("labels.txt"));
  TRY_ASSIGN(const Bytes text, file.read_all().within("labels.txt"));
  std::istringstream lines{std::string(as_text(text))};
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) labels_.push_back(line);
  if (labels_.size() == outputs) return {};
  return Error(Code::unhealthy, "labels.txt names " + std::to_string(labels_.size()) + " classes, the model gives " +
                                    std::to_string(outputs));
}

void Served::serve_frame(Rng& rng) {
  if (health_) health_ = classify(rng);
}

Status Served::classify(Rng& rng) {
  const auto samples = static_cast<std::uint64_t>(subject_->policy.validation.golden->samples);
  const auto image = subject_->input(rng.below(samples));
  frame_.assign(image.begin(), image.end());
  for (float& pixel : frame_) pixel += static_cast<float>(kNoise * any(rng));
  TRY(session_->run(frame_, shape_, output_));
  if (output_.size() != labels_.size()) return Error(Code::unhealthy, "the model gives another number of outputs");
  if (!std::all_of(output_.begin(), output_.end(), [](float value) { return std::isfinite(value); }))
    return Error(Code::unhealthy, "the model gives NaN");
  last_class_ = validators::argmax(output_);
  ++frames_;
  return {};
}

std::string Served::describe() const {
  if (!health_) return health_.error().message();
  if (frames_ == 0) return "ready";
  return std::to_string(frames_) + " frames, the last one: " + labels_[last_class_];
}

}  // namespace drover::demo
