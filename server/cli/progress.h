// Progress of work that moves bytes. On a terminal one line that is redrawn; elsewhere one line per finished item.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/cli/context.h"

namespace drover::cli {

// "[#########-----------]", `width` columns in all. `done` over `total` is full; total 0 is full.
std::string bar(double share, std::size_t width);

// "pushing  [####----]  45%  12.3/27 MiB  5.1 MiB/s  model.onnx", at most `width` columns.
struct ProgressState {
  std::string doing;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::uint64_t bytes_per_second = 0;  // 0: not known yet
  std::string item;
};
std::string progress_line(const ProgressState& state, std::size_t width);

class Progress {
 public:
  // `total` bytes in all; `doing` is a word ("pushing").
  Progress(const Context& context, std::string doing, std::uint64_t total);
  ~Progress();  // takes the line away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void item(std::string_view name);
  void moved(std::uint64_t bytes);
  // Writes a lasting line above the moving one (also where there is no terminal).
  void finished(std::string_view line);

 private:
  void draw(bool force);
  void clear();

  const Context& context_;
  ProgressState state_;
  bool live_;
  MonoTime started_;
  MonoTime drawn_{};
  bool on_screen_ = false;
};

}  // namespace drover::cli
