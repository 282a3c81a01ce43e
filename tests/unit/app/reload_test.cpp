#include "server/app/reload.h"

#include <gtest/gtest.h>

#include "tests/support/temp_folder.h"

namespace drover::server {
namespace {

TEST(FileWatch, TellsAChangeOnceItHasComeToRest) {
  test::TempFolder folder;
  const std::string certificate = folder.write("certificate.pem", "one"), key = folder.write("key.pem", "one");
  FileWatch watch({certificate, key, ""});
  EXPECT_FALSE(watch.has_changed());
  folder.write("certificate.pem", "another");
  EXPECT_FALSE(watch.has_changed()) << "the key may still come";
  folder.write("key.pem", "another");
  EXPECT_FALSE(watch.has_changed()) << "and has just come";
  EXPECT_TRUE(watch.has_changed());
  EXPECT_FALSE(watch.has_changed()) << "told once";
}

TEST(FileWatch, SeesAFileThatComesAndGoes) {
  test::TempFolder folder;
  FileWatch watch({folder / "late.pem"});
  folder.write("late.pem", "x");
  EXPECT_FALSE(watch.has_changed());
  EXPECT_TRUE(watch.has_changed());
  std::filesystem::remove(folder / "late.pem");
  EXPECT_FALSE(watch.has_changed());
  EXPECT_TRUE(watch.has_changed());
}

}  // namespace
}  // namespace drover::server
