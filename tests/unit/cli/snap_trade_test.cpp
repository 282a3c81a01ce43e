#include "server/cli/snap_trade.h"

#include <gtest/gtest.h>

namespace drover::cli {
namespace {

Trial trial(double k, std::uint64_t bytes, double after) {
  return {
      k == 0 ? "exact" : std::to_string(k).substr(0, 4), k, bytes, {{"golden", 0.98, 0.98}, {"held-out", 0.95, after}}};
}

TEST(SnapTrade, TheWidestStepWithinTheLimitIsTakenWhenAllFinerOnesAreToo) {
  const std::vector<Trial> trials = {trial(0, 900, 0.95), trial(0.5, 90, 0.949), trial(1, 50, 0.946),
                                     trial(2, 30, 0.90), trial(4, 20, 0.95)};
  EXPECT_EQ(choose_trial(trials, 0.5), 2U);  // 4 is better than 2 by luck
  EXPECT_EQ(choose_trial(trials, 0.1), 1U);  // a loss of exactly the limit
  EXPECT_EQ(choose_trial(trials, 5), 4U);
  EXPECT_EQ(choose_trial(trials, 0), std::nullopt);
  EXPECT_EQ(choose_trial({}, 1), std::nullopt);
}

TEST(SnapTrade, TheLossIsThatOfTheWorstSetAndNeverAGain) {
  EXPECT_NEAR(trial(1, 1, 0.93).loss(), 2.0, 1e-9);
  EXPECT_EQ(trial(1, 1, 0.99).loss(), 0.0);
  EXPECT_EQ(Trial{}.loss(), 0.0);
  const Trial one_of_200{"kept", 0, 1, {{"golden", 0.675, 0.670}}};  // in doubles a little more than half a point
  EXPECT_TRUE(one_of_200.within(0.5));
  EXPECT_FALSE(one_of_200.within(0.499));
}

TEST(SnapTrade, StepsAreNumbersAboveZeroOrAuto) {
  EXPECT_EQ(parse_snap("auto"), 0.0);
  EXPECT_EQ(parse_snap("0.5"), 0.5);
  for (const char* wrong : {"", "0", "-1", "nan", "inf", "1x", " 1", "Auto"})
    EXPECT_EQ(parse_snap(wrong), std::nullopt) << wrong;
}

TEST(SnapTrade, TheTableHasARowForEachModelAndMarksTheOneTaken) {
  const Trade trade{"kiosk", 1000, {trial(0, 900, 0.95), trial(0.5, 90, 0.949)}, 1};
  EXPECT_EQ(trade_table(trade, {}, 0),
            "MODEL  DELTA  OF FILE                         golden  held-out  LOSS\n"
            "exact  900 B   90.0 %  ##################..  98.00 %   95.00 %  0.00\n"
            " 0.50   90 B    9.0 %  ##..................  98.00 %   94.90 %  0.10  taken\n");
}

TEST(SnapTrade, TheDrawingHasALineForEachSetAndAPointForEachModel) {
  const Trade trade{"kiosk", 1000, {trial(0, 900, 0.95), trial(0.5, 90, 0.949), trial(1, 50, 0.94)}, 1};
  const std::string svg = trade_drawing(trade);
  const auto count = [&](std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = svg.find(part); at != std::string::npos; at = svg.find(part, at + 1)) ++found;
    return found;
  };
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_EQ(count("<polyline"), 2U);
  EXPECT_EQ(count("<circle"), 6U);
  EXPECT_EQ(count("r=\"6\""), 2U);
  EXPECT_NE(svg.find(">held-out<"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(trade_drawing({}).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace drover::cli
