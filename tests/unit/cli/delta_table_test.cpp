#include "server/cli/delta_table.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

using delta::DeltaPart;
using delta::ElementType;
using delta::SegmentKind;
using delta::TensorMode;

// A row of 4-byte numbers.
Place place(std::size_t tensor, const std::string& name, std::uint64_t offset, std::uint64_t size) {
  return {tensor, name, {ElementType::f32, 1, size / 4}, offset, size};
}
DeltaPart copied(std::uint64_t offset, std::uint64_t plain, std::uint64_t coded, std::uint64_t base) {
  DeltaPart part{.kind = SegmentKind::copy, .name = "", .offset = offset, .plain = plain, .coded = coded};
  part.base = base;
  return part;
}
DeltaPart numbers(std::uint64_t offset, std::uint64_t plain, std::uint64_t coded, std::optional<std::uint64_t> base) {
  DeltaPart part{.kind = SegmentKind::tensor, .name = "", .offset = offset, .plain = plain, .coded = coded};
  part.base = base;
  part.type = ElementType::f32;
  part.rows = 1;
  part.columns = plain / 4;
  part.mode = base ? TensorMode::difference : TensorMode::alone;
  return part;
}
DeltaPart bytes(std::uint64_t offset, std::uint64_t plain, std::uint64_t coded) {
  return {.kind = SegmentKind::zstd, .name = "", .offset = offset, .plain = plain, .coded = coded};
}

std::string told(const std::vector<TensorCost>& costs) {
  std::string out;
  for (const TensorCost& cost : costs) {
    out += cost.name + ":" + std::to_string(cost.bytes) + ":" + std::to_string(cost.coded);
    for (const std::string& how : cost.how) out += ":" + how;
    out += " ";
  }
  return out;
}

TEST(DeltaCosts, ALongCopyIsSplitAmongItsTensorsAndTheSumStays) {
  const Places places = {place(0, "a", 10, 40), place(1, "b", 60, 20)};
  EXPECT_EQ(told(cost_of_tensors(places, {copied(0, 90, 9, 0)})), "a:40:4:copied b:20:2:copied :30:3:copied ");
  const auto odd = cost_of_tensors(places, {copied(0, 90, 7, 0)});
  EXPECT_EQ(odd[0].coded + odd[1].coded + odd[2].coded, 7U);
}

TEST(DeltaCosts, PiecesOfOneTensorAreOneRowWithTheMainWayFirst) {
  const Places places = {place(0, "grown", 0, 100)};
  const auto costs = cost_of_tensors(places, {numbers(0, 40, 10, 0), numbers(40, 60, 50, std::nullopt)});
  EXPECT_EQ(told(costs), "grown:100:60:alone:difference ");
  EXPECT_EQ(costs[0].shape->columns, 25U);
}

TEST(DeltaCosts, NumbersWithoutANameAreShownByTheirPlaceAndOtherBytesTogether) {
  const auto costs = cost_of_tensors({}, {bytes(0, 8, 4), numbers(8, 16, 5, 0), bytes(24, 8, 4)});
  EXPECT_EQ(told(costs), "@8:16:5:difference :16:8:zstd ");
  EXPECT_EQ(costs[0].shape->columns, 4U);
}

TEST(DeltaCosts, PartsThatAgreeWithNoTensorAreStillCounted) {
  const Places places = {place(0, "a", 4, 8)};
  EXPECT_EQ(told(cost_of_tensors(places, {numbers(0, 16, 16, 0)})),
            "@0:4:4:difference a:8:8:difference @12:4:4:difference ");
}

// A safetensors file of fp32 vectors.
Bytes model(const std::vector<std::pair<std::string, std::size_t>>& tensors) {
  nlohmann::ordered_json head = nlohmann::ordered_json::object();
  std::size_t at = 0;
  for (const auto& [name, count] : tensors) {
    head[name] = {{"dtype", "F32"}, {"shape", {count}}, {"data_offsets", {at, at + 4 * count}}};
    at += 4 * count;
  }
  std::string text = head.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  Bytes out;
  for (std::size_t i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(text.size() >> 8 * i));
  out.insert(out.end(), text.begin(), text.end());
  out.resize(out.size() + at);
  return out;
}

TEST(DeltaPlaces, TheNewFileNamesItsTensors) {
  const Bytes file = model({{"x.weight", 10}, {"x.bias", 2}});
  const Places places = places_in_target(file);
  ASSERT_EQ(places.size(), 2U);
  EXPECT_EQ(places[0].name, "x.weight");
  EXPECT_EQ(places[1].offset, places[0].offset + 40);
  EXPECT_EQ(places[1].size, 8U);
  EXPECT_TRUE(places_in_target(Bytes(100, 1)).empty());
}

TEST(DeltaPlaces, TheBaseNamesWhatMovedAndWhatStoodBetween) {
  const Bytes base = model({{"a", 10}, {"b", 2}, {"c", 10}, {"d", 4}});
  const std::uint64_t data = base.size() - 4 * 26;
  // In the target everything stands 100 bytes later; b is sent as bytes, d is new.
  const std::vector<DeltaPart> parts = {bytes(0, data + 100, 9), numbers(data + 100, 40, 9, data),
                                        bytes(data + 140, 8, 9), numbers(data + 148, 40, 9, data + 48),
                                        numbers(data + 188, 16, 9, std::nullopt)};
  const auto costs = cost_of_tensors(places_through_base(base, parts), parts);
  EXPECT_EQ(told(costs), "a:40:9:difference b:8:9:zstd c:40:9:difference @" + std::to_string(data + 188) +
                             ":16:9:alone :" + std::to_string(data + 100) + ":9:zstd ");
}

TEST(DeltaPlaces, TensorsThatSwappedPlacesKeepTheirNames) {
  const Bytes base = model({{"a", 10}, {"b", 6}});
  const std::uint64_t data = base.size() - 64;
  const std::vector<DeltaPart> parts = {copied(0, 24, 3, data + 40), copied(24, 40, 3, data)};
  EXPECT_EQ(told(cost_of_tensors(places_through_base(base, parts), parts)), "b:24:3:copied a:40:3:copied ");
}

TEST(DeltaTable, LayersAreWhatStandsBeforeTheLastWord) {
  EXPECT_EQ(layer_of("encoder.0.weight"), "encoder.0");
  EXPECT_EQ(layer_of("model/dense/kernel"), "model/dense");
  EXPECT_EQ(layer_of("p0"), "");
  EXPECT_EQ(layer_of("odd."), "");
  EXPECT_EQ(layer_of(""), "");
}

TEST(DeltaTable, WhatCostsMostComesFirstAndLayersStandTogether) {
  const Places places = {place(0, "small.weight", 0, 400), place(1, "large.bias", 400, 40),
                         place(2, "large.weight", 440, 4000)};
  const DeltaView view =
      view_of(places, {copied(0, 400, 3, 0), numbers(400, 40, 44, 400), numbers(440, 4000, 1000, 440)});
  EXPECT_EQ(delta_table(view, false, {}, 0),
            "TENSOR        TYPE  SHAPE  HOW            SIZE     SENT    SAVED\n"
            "large                                  3.9 KiB  1.0 KiB   74.2 %\n"
            "  weight      fp32   1000  difference  3.9 KiB   1000 B   75.0 %\n"
            "  bias        fp32     10  difference     40 B     44 B  -10.0 %\n"
            "small.weight  fp32    100  copied        400 B      3 B   99.2 %\n"
            "\n"
            "HOW         TENSORS     SIZE     SENT   SAVED\n"
            "difference        2  3.9 KiB  1.0 KiB  74.2 %\n"
            "copied            1    400 B      3 B  99.2 %\n"
            "header                           89 B\n"
            "total             3  4.3 KiB  1.1 KiB  74.4 %\n"
            "\n");
  EXPECT_EQ(delta_verdict(view), "1.1 KiB instead of 4.3 KiB: 74.4 % saved\n");
}

// Many layers of two tensors, with long names.
DeltaView large_view(std::size_t layers) {
  Places places;
  std::vector<DeltaPart> parts;
  for (std::size_t i = 0; i < 2 * layers; ++i) {
    const std::string layer = "model.decoder.layers." + std::to_string(i / 2) + ".self_attention.output_projection";
    places.push_back(place(i, layer + (i % 2 == 0 ? ".weight" : ".bias"), 4000 * i, 4000));
    parts.push_back(numbers(4000 * i, 4000, 1000 + i, 4000 * i));
  }
  return view_of(places, std::move(parts));
}

TEST(DeltaTable, ALongTableEndsInARowForTheRestUnlessAllAreAskedFor) {
  const DeltaView view = large_view(100);
  const std::string some = delta_table(view, false, {}, 0), all = delta_table(view, true, {}, 0);
  const std::string tensors = some.substr(0, some.find("\n\n"));
  EXPECT_LE(static_cast<std::size_t>(std::count(tensors.begin(), tensors.end(), '\n')), kLinesShown);
  EXPECT_NE(some.find("layers.99.self"), std::string::npos);  // the dearest
  EXPECT_EQ(some.find("layers.5.self"), std::string::npos);
  EXPECT_NE(some.find("174 more (--all)"), std::string::npos) << some;
  EXPECT_NE(all.find("layers.5.self"), std::string::npos);
  EXPECT_EQ(all.find("more (--all)"), std::string::npos);
}

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    widest = std::max(widest, display_width(std::string_view(text).substr(at, end - at)));
  return widest;
}

TEST(DeltaTable, InANarrowTerminalNamesLoseWhatTheyShareAndThenTheirMiddle) {
  const std::string table = delta_table(large_view(3), false, {}, 80);
  EXPECT_LE(widest_line(table), 80U);
  EXPECT_TRUE(table.starts_with("all names begin with model.decoder.layers.\nTENSOR ")) << table;
  for (const char* layer : {"\n0.self_a", "\n1.self_a", "\n2.self_a", "_projection ", "\n  weight "})
    EXPECT_NE(table.find(layer), std::string::npos) << layer << table;
  EXPECT_NE(table.find("…"), std::string::npos);
  EXPECT_EQ(delta_table(large_view(3), false, {}, 0).find("all names"), std::string::npos)
      << "nothing is cut in a pipe";
}

TEST(DeltaTable, ShortNamesAndNumbersWithoutANameKeepTheirBeginning) {
  const Places places = {place(0, "model.a.weight", 0, 40), place(1, "model.b.weight", 40, 40)};
  const std::string table = delta_table(
      view_of(places, {copied(0, 80, 3, 0), numbers(80, 40, 9, std::nullopt), bytes(120, 9, 9)}), false, {}, 80);
  EXPECT_EQ(table.find("all names"), std::string::npos);
  const Places longer = {place(0, "model.decoder.first.projection.weight", 0, 40),
                         place(1, "model.decoder.second.projection.weight", 40, 40)};
  const std::string shortened = delta_table(
      view_of(longer, {copied(0, 80, 3, 0), numbers(80, 40, 9, std::nullopt), bytes(120, 9, 9)}), false, {}, 80);
  for (const char* name : {"\nfirst.projection.weight ", "\nsecond.projection.weight ", "\n@80 ", "\n(no tensor) "})
    EXPECT_NE(shortened.find(name), std::string::npos) << name << shortened;
}

TEST(DeltaTable, JsonHasTheTensorsInTheOrderOfTheFile) {
  const auto json = delta_json(large_view(2));
  EXPECT_EQ(json["tensors"].size(), 4U);
  EXPECT_EQ(json["tensors"][1]["name"], "model.decoder.layers.0.self_attention.output_projection.bias");
  EXPECT_EQ(json["tensors"][1]["how"], nlohmann::json::array({"difference"}));
  EXPECT_EQ(json["tensors"][1]["offset"], 4000);
  std::uint64_t coded = 0;
  for (const auto& way : json["ways"]) coded += way["coded"].get<std::uint64_t>();
  EXPECT_EQ(coded, json["coded"].get<std::uint64_t>());
}

TEST(DeltaTable, ADeltaOfNothingHasATableToo) {
  const DeltaView view = view_of({}, {});
  EXPECT_NE(delta_table(view, false, {}, 80).find("total"), std::string::npos);
  EXPECT_EQ(delta_verdict(view), "89 B for 0 B: nothing saved\n");
}

}  // namespace
}  // namespace drover::cli
