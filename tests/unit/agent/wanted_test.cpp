#include "agent/fetch/wanted.h"

#include <gtest/gtest.h>

namespace drover::agent {
namespace {

package::File file(const std::string& path, const std::string& content, std::uint64_t size = 10'000) {
  return {path, crypto::sha256(content), size, std::string(package::kWeightLayer)};
}

package::Manifest package_of(std::vector<package::File> files) {
  package::Manifest manifest;
  manifest.files = std::move(files);
  return manifest;
}

std::string base_of_model(const package::Manifest& target, std::vector<package::Manifest> held) {
  const auto bases = wanted_files(target, held).at(0).bases;
  return bases.empty() ? "" : bases.front();
}

const std::string kOld = crypto::sha256("old").text(), kOlder = crypto::sha256("older").text();

TEST(WantedFiles, are_those_of_the_package_in_its_order_with_size_and_digest) {
  const auto wanted = wanted_files(package_of({file("b", "1", 7), file("a", "2", 8)}));
  ASSERT_EQ(wanted.size(), 2u);
  EXPECT_EQ(wanted[0].digest, crypto::sha256("1").text());
  EXPECT_EQ(wanted[1].size, 8u);
  EXPECT_TRUE(wanted[0].bases.empty());
}

TEST(WantedFiles, start_from_the_same_path_of_the_package_held_now_rather_than_the_one_before) {
  const auto now = package_of({file("m", "old")}), before = package_of({file("m", "older")});
  EXPECT_EQ(base_of_model(package_of({file("m", "new")}), {now, before}), kOld);
  EXPECT_EQ(base_of_model(package_of({file("m", "new")}), {package_of({}), before}), kOlder);
}

TEST(WantedFiles, name_every_earlier_file_under_their_path_once) {
  const auto now = package_of({file("m", "old")}), before = package_of({file("m", "older")});
  EXPECT_EQ(wanted_files(package_of({file("m", "new")}), std::vector{now, before, now}).at(0).bases,
            (std::vector{kOld, kOlder}));
}

TEST(WantedFiles, have_no_base_under_another_path) {
  EXPECT_EQ(base_of_model(package_of({file("m", "new")}), {package_of({file("n", "old")})}), "");
}

TEST(WantedFiles, have_no_base_when_a_held_package_has_the_very_file) {
  const auto now = package_of({file("m", "old")}), before = package_of({file("m", "new")});
  EXPECT_EQ(base_of_model(package_of({file("m", "new")}), {now, before}), "");
}

TEST(WantedFiles, come_whole_when_they_are_small_or_the_base_is_empty) {
  EXPECT_EQ(base_of_model(package_of({file("m", "new", kLeastDelta - 1)}), {package_of({file("m", "old")})}), "");
  EXPECT_EQ(base_of_model(package_of({file("m", "new", kLeastDelta)}), {package_of({file("m", "old")})}), kOld);
  EXPECT_EQ(base_of_model(package_of({file("m", "new")}), {package_of({file("m", "", 0)})}), "");
}

package::Manifest encrypted(const std::string& content, const std::vector<std::string>& delta_bases = {}) {
  auto manifest = package_of({file("m", content)});
  manifest.files[0].plain = crypto::PlainFile{{}, 9000};
  for (const std::string& base : delta_bases) {
    package::DeltaFile delta;
    delta.digest = crypto::sha256(base + " to " + content);
    delta.base = crypto::sha256(base);
    delta.target = manifest.files[0].digest;
    manifest.deltas.push_back(delta);
  }
  return manifest;
}

TEST(EncryptedFiles, come_as_the_delta_that_the_release_brings_from_what_is_held) {
  const std::vector<package::Manifest> held = {encrypted("old"), encrypted("older")};
  const auto wanted = wanted_files(encrypted("new", {"older", "other"}), held).at(0);
  EXPECT_TRUE(wanted.encrypted);
  ASSERT_TRUE(wanted.sealed);
  EXPECT_EQ(wanted.sealed->delta.digest, crypto::sha256("older to new"));
  EXPECT_EQ(wanted.sealed->held, 1u);
  EXPECT_EQ(wanted.sealed->base.digest, crypto::sha256("older"));
}

TEST(EncryptedFiles, come_whole_when_the_release_brings_no_delta_and_the_base_is_still_known) {
  const auto wanted = wanted_files(encrypted("new", {"other"}), std::vector{encrypted("old")}).at(0);
  EXPECT_FALSE(wanted.sealed);
  EXPECT_EQ(wanted.bases, std::vector<std::string>{kOld});
}

TEST(EncryptedFiles, may_start_from_one_that_was_not_encrypted) {
  const auto wanted = wanted_files(encrypted("new", {"old"}), std::vector{package_of({file("m", "old")})}).at(0);
  ASSERT_TRUE(wanted.sealed);
  EXPECT_FALSE(wanted.sealed->base.plain);
}

}  // namespace
}  // namespace drover::agent
