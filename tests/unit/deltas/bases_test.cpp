#include "server/deltas/bases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/deltas/chain.h"

namespace drover::deltas {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Published in this order.
ReleasesOfModel releases(const std::vector<std::string>& versions, const std::string& withdrawn = "") {
  ReleasesOfModel all;
  std::int64_t no = 0;
  for (const std::string& version : versions) {
    store::ReleaseEntry entry;
    entry.row.no = ++no;
    entry.row.model = "digits";
    entry.row.version = version;
    if (version == withdrawn) entry.row.state = store::ReleaseState::withdrawn;
    all.emplace(version, std::move(entry));
  }
  return all;
}

package::Manifest manifest(const std::vector<std::pair<std::string, std::string>>& files, std::uint64_t size = 10'000) {
  package::Manifest made;
  for (const auto& [path, content] : files)
    made.files.push_back({path, crypto::sha256(content), size, std::string(package::kWeightLayer)});
  return made;
}

TEST(BaseReleases, are_the_most_run_and_then_the_one_before) {
  const auto all = releases({"1", "2", "3", "4", "5", "6", "7"});
  const std::vector<store::ReleaseCount> runs = {{"7", 900}, {"3", 50}, {"1", 20}, {"2", 10}, {"4", 5}, {"5", 1}};
  EXPECT_THAT(base_releases(all, "7", runs), ElementsAre("3", "1", "2", "4", "6"));
}

TEST(BaseReleases, of_a_fleet_that_runs_nothing_yet_is_the_one_before) {
  EXPECT_THAT(base_releases(releases({"1", "2", "3"}), "2", {}), ElementsAre("1"));
  EXPECT_THAT(base_releases(releases({"1"}), "1", {}), IsEmpty());
}

TEST(BaseReleases, go_backwards_too_for_a_fleet_that_is_to_return) {
  EXPECT_THAT(base_releases(releases({"1", "2"}), "1", {{"2", 9}}), ElementsAre("2"));
}

TEST(BaseReleases, may_be_withdrawn_when_devices_run_them_but_not_only_for_being_the_one_before) {
  const auto all = releases({"1", "2", "3"}, "2");
  EXPECT_THAT(base_releases(all, "3", {{"2", 4}}), ElementsAre("2", "1"));
  EXPECT_THAT(base_releases(all, "3", {}), ElementsAre("1"));
}

TEST(BaseReleases, that_this_server_does_not_know_are_passed_over) {
  EXPECT_THAT(base_releases(releases({"1", "2"}), "2", {{"built-by-hand", 7}, {"1", 1}}), ElementsAre("1"));
  EXPECT_THAT(base_releases(releases({"1"}), "unknown", {{"1", 1}}), IsEmpty());
}

TEST(PairsOf, join_files_of_one_path_with_other_contents) {
  const auto base = manifest({{"model.onnx", "old"}, {"labels.txt", "same"}, {"gone.bin", "gone"}});
  const auto target = manifest({{"model.onnx", "new"}, {"labels.txt", "same"}, {"fresh.bin", "fresh"}});
  EXPECT_THAT(pairs_of(base, target), ElementsAre(Pair{crypto::sha256("new"), crypto::sha256("old"), 10'000}));
}

TEST(PairsOf, leave_small_and_empty_files_alone_and_name_none_twice) {
  EXPECT_THAT(pairs_of(manifest({{"a", "old"}}), manifest({{"a", "new"}}, kLeastFile - 1)), IsEmpty());
  EXPECT_THAT(pairs_of(manifest({{"a", ""}}, 0), manifest({{"a", "new"}}, kLeastFile)), IsEmpty());
  EXPECT_EQ(pairs_of(manifest({{"a", "old"}, {"b", "old"}}), manifest({{"a", "new"}, {"b", "new"}}, kLeastFile)).size(),
            1u);
}

TEST(PairsOf, leave_out_what_is_encrypted_on_either_side) {
  auto sealed = manifest({{"a", "sealed"}});
  sealed.files[0].plain.emplace();
  EXPECT_THAT(pairs_of(manifest({{"a", "old"}}), sealed), IsEmpty());
  EXPECT_THAT(pairs_of(sealed, manifest({{"a", "new"}})), IsEmpty());
}

TEST(PackedOf, is_every_file_that_is_neither_small_nor_encrypted_once) {
  auto target = manifest({{"a", "one"}, {"b", "two"}, {"c", "one"}, {"d", "sealed"}});
  target.files[3].plain.emplace();
  EXPECT_THAT(packed_of(target), ElementsAre(Pair{crypto::sha256("one"), nothing(), 10'000},
                                             Pair{crypto::sha256("two"), nothing(), 10'000}));
  EXPECT_THAT(packed_of(manifest({{"a", "one"}}, kLeastFile - 1)), IsEmpty());
}

}  // namespace
}  // namespace drover::deltas
