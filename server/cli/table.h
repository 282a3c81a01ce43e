// Tables for people: column widths by content, two blanks between columns, no ruling. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/cli/style.h"

namespace drover::cli {

struct Cell {
  std::string text;  // made printable() by the table
  Colour colour = Colour::none;
  Cell(std::string_view t, Colour c = Colour::none) : text(t), colour(c) {}
  Cell(const char* t) : text(t) {}
  Cell(const std::string& t) : text(t) {}
  Cell(std::string&& t) : text(std::move(t)) {}
};

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
  bool shrinks = false;  // may be cut with "…" when the terminal is too narrow
  bool middle = false;   // and then loses its middle: names whose ends tell them apart
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as columns; fewer leave the rest empty.
  void add(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // `width`: of the terminal; 0: nothing is cut (a pipe). Lines have no trailing blanks and end in a line feed.
  std::string render(const Style& style, std::size_t width) const;

 private:
  std::vector<std::size_t> widths(std::size_t limit) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "name:   value" lines with the values aligned, for showing one thing. Empty values are left out.
std::string render_fields(const std::vector<std::pair<std::string, Cell>>& fields, const Style& style);

}  // namespace drover::cli
