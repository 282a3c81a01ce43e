// Small model files with numbers that behave like weights, made from a seed. For tests.
#pragma once

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/delta/tensor_codec.h"
#include "common/rng/rng.h"

namespace drover::delta::testing {

// Roughly normal, mean 0, deviation 1 (sum of twelve uniform numbers).
inline double normal(Rng& rng) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += static_cast<double>(rng.next() >> 11) * 0x1p-53;
  return sum;
}

inline std::vector<float> weights(std::size_t count, std::uint64_t seed, double scale = 0.05) {
  SeededRng rng(seed);
  std::vector<float> out(count);
  for (float& w : out) w = static_cast<float>(normal(rng) * scale);
  return out;
}

// A fine-tuned version: a change of rank 2 and a little noise, as training makes it.
inline std::vector<float> tuned(const std::vector<float>& before, std::size_t rows, std::size_t columns,
                                std::uint64_t seed) {
  const auto u = weights(2 * rows, seed, 1), v = weights(2 * columns, seed + 1, 1),
             noise = weights(before.size(), seed + 2, 1e-4);
  std::vector<float> after = before;
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      for (std::size_t q = 0; q < 2; ++q)
        after[i * columns + j] += 1e-3F * u[q * rows + i] * v[q * columns + j] + noise[i * columns + j];
  return after;
}

inline Bytes as_type(const std::vector<float>& numbers, ElementType type) {
  Bytes out;
  for (float number : numbers) {
    const auto bits = std::bit_cast<std::uint32_t>(number);
    std::uint32_t stored = bits;
    if (type == ElementType::bf16) stored = (bits + 0x8000) >> 16;
    if (type == ElementType::i8) stored = static_cast<std::uint8_t>(static_cast<int>(std::lround(number * 400)));
    if (type == ElementType::f16) {
      const int exponent = static_cast<int>(bits >> 23 & 255) - 112;
      stored =
          exponent <= 0 ? 0 : (bits >> 16 & 0x8000) | static_cast<std::uint32_t>(exponent << 10) | (bits >> 13 & 0x3ff);
    }
    for (std::size_t i = 0; i < element_bytes(type); ++i) out.push_back(static_cast<std::uint8_t>(stored >> 8 * i));
  }
  return out;
}

struct NamedTensor {
  std::string name;
  std::string dtype;  // safetensors' word
  std::vector<std::uint64_t> shape;
  Bytes data;
};

inline Bytes safetensors(const std::vector<NamedTensor>& tensors) {
  nlohmann::ordered_json header;
  std::uint64_t at = 0;
  for (const NamedTensor& tensor : tensors) {
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {at, at + tensor.data.size()}}};
    at += tensor.data.size();
  }
  const std::string text = header.dump();
  Bytes out;
  for (unsigned i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(text.size() >> 8 * i));
  out.insert(out.end(), text.begin(), text.end());
  for (const NamedTensor& tensor : tensors) out.insert(out.end(), tensor.data.begin(), tensor.data.end());
  return out;
}

}  // namespace drover::delta::testing
