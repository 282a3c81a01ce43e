#include "common/obs/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <iterator>
#include <memory>
#include <mutex>

#include "common/time/clock.h"

namespace drover::log {
namespace {

std::atomic<Level> g_level{Level::info};
std::atomic<Format> g_format{Format::logfmt};
std::mutex g_sink_mutex;
std::function<void(std::string_view)> g_sink;
std::atomic<bool> g_has_sink{false};

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "off"};

// Text between quotes; the same escapes are good for logfmt and JSON. Bytes that are not UTF-8 pass as they are.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
        else
          out += c;
    }
  }
  out += '"';
}

bool plain_word(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  return true;
}

void append_pair(std::string& out, Format format, std::string_view key, std::string_view value, bool bare) {
  if (format == Format::json) {
    out += out.size() > 1 ? "," : "";
    append_quoted(out, key);
    out += ':';
    bare ? static_cast<void>(out += value) : append_quoted(out, value);
    return;
  }
  if (!out.empty()) out += ' ';
  out += key;
  out += '=';
  bare || plain_word(value) ? static_cast<void>(out += value) : append_quoted(out, value);
}

// Cuts at a character's boundary.
std::string_view cut(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

void emit(std::string line) {
  if (g_has_sink.load(std::memory_order_acquire)) {
    const std::lock_guard lock(g_sink_mutex);
    if (g_sink) return g_sink(line);
  }
  line += '\n';
  // A log that cannot be written has nowhere to be complained about.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

Field::Field(std::string_view k, double v) : key(k), text(fmt::format("{}", v)), bare(v - v == 0) {}

void set_level(Level level) { g_level = level; }
void set_format(Format format) { g_format = format; }
bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

bool set_level(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] != name) continue;
    set_level(static_cast<Level>(i));
    return true;
  }
  return false;
}

void set_sink(std::function<void(std::string_view)> sink) {
  const std::lock_guard lock(g_sink_mutex);
  g_has_sink.store(static_cast<bool>(sink), std::memory_order_release);
  g_sink = std::move(sink);
}

std::string format_line(Format format, std::string_view time, Level level, std::string_view message, Fields fields) {
  std::string out = format == Format::json ? "{" : "";
  // Room for the end of a JSON object and the mark of a cut.
  constexpr std::size_t kRoom = kMaxLine - 40;
  append_pair(out, format, "time", time, false);
  append_pair(out, format, "level", kNames[static_cast<std::size_t>(level)], false);
  append_pair(out, format, "msg", cut(message, kMaxLine / 4), false);
  for (const Field& field : fields) {
    const std::size_t before = out.size();
    append_pair(out, format, field.key, cut(field.text, kMaxLine / 2), field.bare);
    if (out.size() <= kRoom) continue;
    out.resize(before);
    append_pair(out, format, "cut", "...", false);
    break;
  }
  if (format == Format::json) out += '}';
  return out;
}

void write(Level level, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  emit(format_line(g_format.load(std::memory_order_relaxed), format_time(system_clock().wall()), level, message,
                   fields));
}

void failure(std::string_view message, const Error& error, Fields fields) {
  if (!enabled(Level::error)) return;
  const Format format = g_format.load(std::memory_order_relaxed);
  std::string line = format_line(format, format_time(system_clock().wall()), Level::error, message, fields);
  if (format == Format::json) line.pop_back();
  append_pair(line, format, "code", code_name(error.code()), false);
  append_pair(line, format, "error", cut(error.message(), kMaxLine / 4), false);
  if (format == Format::json) line += '}';
  emit(std::move(line));
}

}  // namespace drover::log
