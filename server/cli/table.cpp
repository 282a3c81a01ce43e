#include "server/cli/table.h"

#include <algorithm>
#include <numeric>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 8;  // a column is not cut below this: less says nothing

std::string padded(std::string_view text, std::size_t width, Align align) {
  const std::size_t wide = display_width(text);
  const std::string blanks(width > wide ? width - wide : 0, ' ');
  return align == Align::left ? std::string(text) + blanks : blanks + std::string(text);
}

void trim_right(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

}  // namespace

std::string Style::operator()(Colour colour, std::string_view text) const {
  if (!on || colour == Colour::none || text.empty()) return std::string(text);
  constexpr std::string_view kCodes[] = {"0", "1", "2", "31", "32", "33", "34", "36"};
  std::string out = "\x1b[";
  out.append(kCodes[static_cast<std::size_t>(colour)]).append("m").append(text).append("\x1b[0m");
  return out;
}

std::vector<std::size_t> Table::widths(std::size_t limit) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < std::min(row.size(), widths.size()); ++i)
      widths[i] = std::max(widths[i], display_width(printable(row[i].text)));
  std::size_t total = std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
  while (limit > 0 && total > limit) {
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i)
      if (columns_[i].shrinks && widths[i] > kNarrowest && (widest == widths.size() || widths[i] > widths[widest]))
        widest = i;
    if (widest == widths.size()) break;
    --widths[widest];
    --total;
  }
  return widths;
}

std::string Table::render(const Style& style, std::size_t width) const {
  const std::vector<std::size_t> wide = widths(width);
  std::string out, line;
  for (std::size_t i = 0; i < columns_.size(); ++i)
    line += padded(columns_[i].title, wide[i], columns_[i].align) + std::string(kGap, ' ');
  trim_right(line);
  out += style(Colour::bold, line) + "\n";
  for (const auto& row : rows_) {
    line.clear();
    for (std::size_t i = 0; i < std::min(row.size(), columns_.size()); ++i) {
      const std::string whole = printable(row[i].text);
      const std::string text = columns_[i].middle ? fit_middle(whole, wide[i]) : fit_width(whole, wide[i]);
      const std::string cell = padded(text, wide[i], columns_[i].align);
      const std::size_t at = text.empty() ? std::string::npos : cell.find(text);
      line += at == std::string::npos ? cell
                                      : cell.substr(0, at) + style(row[i].colour, text) + cell.substr(at + text.size());
      line += std::string(kGap, ' ');
    }
    trim_right(line);
    out += line + "\n";
  }
  return out;
}

std::string render_fields(const std::vector<std::pair<std::string, Cell>>& fields, const Style& style) {
  std::size_t wide = 0;
  for (const auto& [name, cell] : fields)
    if (!cell.text.empty()) wide = std::max(wide, display_width(name));
  std::string out;
  for (const auto& [name, cell] : fields)
    if (!cell.text.empty())
      out += style(Colour::dim, padded(name + ":", wide + 1, Align::left)) + "  " +
             style(cell.colour, printable(cell.text)) + "\n";
  return out;
}

}  // namespace drover::cli
