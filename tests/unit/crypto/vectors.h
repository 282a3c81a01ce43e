// Public test vectors, which the project does not carry: they lie beside the source tree or where DROVER_VECTORS says.
#pragma once

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace drover::testing {

inline std::optional<nlohmann::json> read_vectors(const std::string& file) {
  // tidy: allow environment because the folder of the vectors is a matter of the machine, not of a setting
  const char* folder = std::getenv("DROVER_VECTORS");
  const std::string place = folder != nullptr ? folder : std::string(DROVER_SOURCE_DIR) + "/../shared/vectors";
  std::ifstream in(place + "/" + file);
  if (!in) return std::nullopt;
  return nlohmann::json::parse(in);
}

}  // namespace drover::testing

#define VECTORS_OR_SKIP(name, file)                                                                    \
  const auto name##_found = drover::testing::read_vectors(file);                                       \
  if (!name##_found) GTEST_SKIP() << "no test vectors (" file "); set DROVER_VECTORS to their folder"; \
  const nlohmann::json& name = *name##_found
