#include "server/cli/context.h"

#include <nlohmann/json.hpp>

namespace drover::cli {
namespace {

bool colours_wanted(const Context& context) {
  const auto term = context.environment("TERM");
  return !context.no_colour && !context.environment("NO_COLOR") && term != "dumb";
}

}  // namespace

Style Context::out_style() const { return Style{terminal.out_is_terminal() && colours_wanted(*this)}; }
Style Context::err_style() const { return Style{terminal.err_is_terminal() && colours_wanted(*this)}; }
std::size_t Context::out_width() const { return terminal.out_is_terminal() ? terminal.width() : 0; }

void Context::note(std::string_view line) const {
  if (!quiet) terminal.err(std::string(line) + "\n");
}

void Context::show(const nlohmann::json& value, const std::function<std::string()>& text) const {
  if (json)
    terminal.out(value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  else
    terminal.out(text());
}

Status Context::confirm(std::string_view question) const {
  if (yes || !terminal.can_ask()) return {};
  TRY_ASSIGN(const std::string answer, terminal.ask(std::string(question) + " [y/N] ", false));
  if (answer == "y" || answer == "Y" || answer == "yes") return {};
  return Error(Code::cancelled, "nothing was done");
}

}  // namespace drover::cli
