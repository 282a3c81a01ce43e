#include "common/package/path_rules.h"

#include <gtest/gtest.h>

namespace drover::package {
namespace {

Code code_of(const Status& status) { return status ? Code::ok : status.error().code(); }

TEST(PackagePath, IsRelativeAndPlain) {
  for (const char* path : {"model.onnx", "golden/inputs.f32", "a/b/c/d", "A-Z_0.9", "..a", "a..b", "..."})
    EXPECT_TRUE(check_package_path(path)) << path;
}

TEST(PackagePath, NeverLeavesThePackage) {
  for (const char* path :
       {"..", "../x", "a/../b", "a/..", ".", "./a", "a/.", "a/./b", "/", "/etc/passwd", "//x", "a//b", "a/", ""})
    EXPECT_EQ(code_of(check_package_path(path)), Code::unsafe_path) << path;
}

TEST(PackagePath, HoldsNoCharacterThatMeansSomethingElsewhere) {
  for (const std::string& path :
       {std::string("a\\b"), std::string("C:x"), std::string("a b"), std::string("a\nb"), std::string("a\0b", 3),
        std::string("caf\xc3\xa9"), std::string("a*"), std::string("~"), std::string("$HOME"), std::string("a%2fb")})
    EXPECT_EQ(code_of(check_package_path(path)), Code::unsafe_path) << path;
}

TEST(PackagePath, IsBounded) {
  EXPECT_TRUE(check_package_path(std::string(100, 'a')));
  EXPECT_EQ(code_of(check_package_path(std::string(101, 'a'))), Code::unsafe_path);
  std::string deep = "a";
  for (int i = 0; i < 15; ++i) deep += "/a";
  EXPECT_TRUE(check_package_path(deep));
  EXPECT_EQ(code_of(check_package_path(deep + "/a")), Code::unsafe_path);
  std::string long_path = std::string(100, 'a');
  for (int i = 0; i < 3; ++i) long_path += "/" + std::string(100, 'a');
  EXPECT_EQ(code_of(check_package_path(long_path)), Code::unsafe_path);
}

TEST(PackagePath, IsQuotedWithoutControlCharacters) {
  const Status status = check_package_path("a\x1b[31m");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message().find('\x1b'), std::string::npos);
}

TEST(PackagePaths, DoNotCollideWhenCaseDoesNotCount) {
  PathSet paths;
  ASSERT_TRUE(paths.add("Model.onnx"));
  EXPECT_EQ(code_of(paths.add("model.ONNX")), Code::unsafe_path);
  EXPECT_EQ(code_of(paths.add("Model.onnx")), Code::unsafe_path);
  EXPECT_TRUE(paths.add("model.onnx2"));
}

TEST(PackagePaths, DoNotCollideInTheirFolders) {
  PathSet paths;
  ASSERT_TRUE(paths.add("Golden/a"));
  EXPECT_EQ(code_of(paths.add("golden/b")), Code::unsafe_path);
  EXPECT_TRUE(paths.add("Golden/b"));
}

TEST(PackagePaths, AreNotFileAndFolderAtOnce) {
  PathSet paths;
  ASSERT_TRUE(paths.add("a/b"));
  EXPECT_EQ(code_of(paths.add("a")), Code::unsafe_path);
  EXPECT_EQ(code_of(paths.add("A")), Code::unsafe_path);
  EXPECT_EQ(code_of(paths.add("a/b/c")), Code::unsafe_path);
  EXPECT_TRUE(paths.add("a/c"));
}

}  // namespace
}  // namespace drover::package
