#include "server/cli/table.h"

#include <gtest/gtest.h>

#include "server/cli/progress.h"

namespace drover::cli {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirContent) {
  Table table({{"NAME"}, {"SIZE", Align::right}, {"STATE"}});
  table.add({"kiosk-07", "1 KiB", "active"});
  table.add({"x", "12 MiB", ""});
  EXPECT_EQ(table.render(Style{}, 0),
            "NAME        SIZE  STATE\n"
            "kiosk-07   1 KiB  active\n"
            "x         12 MiB\n");
}

TEST(Table, ANarrowTerminalCutsOnlyTheColumnsThatMayShrink) {
  Table table({{"ID"}, {"NAME", Align::left, true}});
  table.add({"0123456789abcdef", "a rather long name of a device"});
  const std::string text = table.render(Style{}, 30);
  EXPECT_NE(text.find("0123456789abcdef  a rather lo…\n"), std::string::npos) << text;
}

TEST(Table, APipeCutsNothing) {
  Table table({{"NAME", Align::left, true}});
  table.add({std::string(500, 'x')});
  EXPECT_NE(table.render(Style{}, 0).find(std::string(500, 'x')), std::string::npos);
}

TEST(Table, ColoursTakeNoRoomAndOnlyTheTextHasThem) {
  Table table({{"STATE"}, {"X"}});
  table.add({Cell("ok", Colour::green), "1"});
  EXPECT_NE(table.render(Style{true}, 0).find("\x1b[32mok\x1b[0m     1\n"), std::string::npos)
      << table.render(Style{true}, 0);
}

TEST(Table, NamesOfDevicesCannotMoveTheCursor) {
  Table table({{"NAME"}});
  table.add({"a\x1b[2Jb"});
  EXPECT_EQ(table.render(Style{}, 0), "NAME\na?[2Jb\n");
}

TEST(Table, FieldsWithoutAValueAreLeftOut) {
  EXPECT_EQ(render_fields({{"name", "a"}, {"detail", ""}, {"last seen", "now"}}, Style{}),
            "name:       a\nlast seen:  now\n");
}

TEST(ProgressLine, SaysShareAmountRateAndItem) {
  const ProgressState state{
      .doing = "pushing", .done = 1 << 20, .total = 4 << 20, .bytes_per_second = 512 << 10, .item = "model.onnx"};
  EXPECT_EQ(progress_line(state, 200), "pushing  [#####-----------------]  25%  1 MiB of 4 MiB  512 KiB/s  model.onnx");
}

TEST(ProgressLine, NeverSaysHundredBeforeTheEndAndFitsTheTerminal) {
  const ProgressState state{.doing = "pushing", .done = 999'999, .total = 1'000'000, .bytes_per_second = 0, .item = ""};
  EXPECT_NE(progress_line(state, 200).find(" 99%"), std::string::npos);
  EXPECT_EQ(progress_line(state, 10), "pushing  …");
}

TEST(Bar, IsEmptyFullAndBounded) {
  EXPECT_EQ(bar(0, 6), "[----]");
  EXPECT_EQ(bar(0.5, 6), "[##--]");
  EXPECT_EQ(bar(1, 6), "[####]");
  EXPECT_EQ(bar(7, 6), "[####]");
  EXPECT_EQ(bar(-1, 6), "[----]");
  EXPECT_EQ(bar(1, 2), "");
}

}  // namespace
}  // namespace drover::cli
