// Small model files for the targets that read deltas.
#pragma once

#include <algorithm>
#include <vector>

#include "common/delta/delta.h"
#include "tests/unit/delta/models.h"
#include "tests/unit/delta/texts.h"

namespace drover::fuzz {

struct Pair {
  Bytes before, after;
};

// A matrix before and after training, in each element type; and a file that is no model.
inline std::vector<Pair> model_pairs() {
  using delta::testing::as_type, delta::testing::safetensors, delta::testing::tuned, delta::testing::weights;
  std::vector<Pair> pairs;
  const auto old_weights = weights(24 * 32, 1), new_weights = tuned(old_weights, 24, 32, 2);
  const auto file = [](const char* dtype, const std::vector<float>& numbers, delta::ElementType type) {
    return safetensors({{"w", dtype, {24, 32}, as_type(numbers, type)}});
  };
  using delta::ElementType;
  for (const auto& [dtype, type] : {std::pair("F32", ElementType::f32), std::pair("F16", ElementType::f16),
                                    std::pair("BF16", ElementType::bf16), std::pair("I8", ElementType::i8)})
    pairs.push_back({file(dtype, old_weights, type), file(dtype, new_weights, type)});
  Bytes text;
  for (int i = 0; i < 400; ++i)
    for (const char c : "line " + std::to_string(i * i) + "\n") text.push_back(static_cast<std::uint8_t>(c));
  Bytes changed = text;
  std::rotate(changed.begin(), changed.begin() + 1000, changed.end());
  pairs.push_back({text, changed});
  return pairs;
}

}  // namespace drover::fuzz
