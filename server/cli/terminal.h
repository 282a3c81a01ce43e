// Where the tool speaks and asks. Results go to out (standard output), everything else (progress, questions, errors) to
// err.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::cli {

class Terminal {
 public:
  virtual ~Terminal() = default;
  virtual void out(std::string_view text) = 0;
  virtual void err(std::string_view text) = 0;
  virtual bool out_is_terminal() const = 0;
  virtual bool err_is_terminal() const = 0;
  // Questions can be asked: standard input and err are terminals.
  virtual bool can_ask() const = 0;
  virtual std::size_t width() const = 0;  // columns
  // One line without its line feed; `hidden` does not echo. Errors: cancelled at the end of input, invalid_argument
  // when nobody can be asked, too_large over 4 KiB.
  virtual Result<std::string> ask(std::string_view question, bool hidden) = 0;
};

// The process's own. What cannot be written (a closed pipe) is dropped.
std::unique_ptr<Terminal> make_system_terminal();

}  // namespace drover::cli
