// Internal: the tables, as migrations of a SQLite file.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace drover::store::sqlite {

inline constexpr std::int32_t kApplicationId = 0x44725653;  // "DrVS"
extern const std::array<std::string_view, 5> kMigrations;

}  // namespace drover::store::sqlite
