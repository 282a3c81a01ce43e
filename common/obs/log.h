// One line of text per event, logfmt or JSON, to standard error. Thread-safe: a line is one write(2).
// Usage:  log::info("device enrolled", {{"device", id}, {"uses_left", 3}});
// In a coroutine build the fields outside of a statement that contains co_await.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "common/base/error.h"

namespace drover::log {

enum class Level : std::uint8_t { debug, info, warn, error, off };
enum class Format : std::uint8_t { logfmt, json };

// Longest line written; the rest of an event is cut off and marked with "...". Keeps a line within one pipe write.
inline constexpr std::size_t kMaxLine = 4000;

// A key and its value. Keys are our own words: lower-case snake_case literals.
struct Field {
  Field(std::string_view k, std::string_view v) : key(k), text(v) {}
  Field(std::string_view k, const char* v) : key(k), text(v) {}
  Field(std::string_view k, const std::string& v) : key(k), text(v) {}
  Field(std::string_view k, bool v) : key(k), text(v ? "true" : "false"), bare(true) {}
  Field(std::string_view k, double v);
  template <std::integral T>
  Field(std::string_view k, T v) : key(k), text(std::to_string(v)), bare(true) {}

  std::string_view key;
  std::string text;
  bool bare = false;  // written without quotes
};
using Fields = std::initializer_list<Field>;

// Process-wide settings, for start-up and tests. Default: info, logfmt, standard error.
void set_level(Level level);
void set_format(Format format);
bool enabled(Level level);
// "debug", "info", "warn", "error", "off"; false for anything else.
bool set_level(std::string_view name);
// Takes every finished line (without the newline) instead of standard error; an empty function restores that.
void set_sink(std::function<void(std::string_view line)> sink);

void write(Level level, std::string_view message, Fields fields = {});
inline void debug(std::string_view message, Fields fields = {}) {
  if (enabled(Level::debug)) write(Level::debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) { write(Level::info, message, fields); }
inline void warn(std::string_view message, Fields fields = {}) { write(Level::warn, message, fields); }
inline void error(std::string_view message, Fields fields = {}) { write(Level::error, message, fields); }
// An Error at the boundary where it is logged, once: adds its code and its sentence.
void failure(std::string_view message, const Error& error, Fields fields = {});

// What a line looks like, without writing it (pure; the time is RFC 3339 text).
std::string format_line(Format format, std::string_view time, Level level, std::string_view message, Fields fields);

}  // namespace drover::log
