#include "agent/validators/onnx/subject.h"

#include <gtest/gtest.h>

#include "common/fs/memory_place.h"
#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::validators {
namespace {

constexpr std::string_view kPolicy = R"({"version":1,"model":{"file":"model.onnx","runtime":"onnx"},
  "validation":{"golden":{"inputs":"golden/in.f32","outputs":"golden/out.f32","samples":2,"input_shape":[3],
                          "output_shape":[1],"labels":"golden/labels.u8","min_accuracy":0.5}}})";

// Two samples of three inputs and one output.
void write_package(const test::TempFolder& folder) {
  folder.write("drover.json", kPolicy);
  folder.write("model.onnx", "a model");
  folder.write("golden/in.f32", std::string(2 * 3 * 4, '\0'));
  folder.write("golden/out.f32", std::string(2 * 4, '\0'));
  folder.write("golden/labels.u8", "ab");
}

TEST(Subject, APackageIsOpenedWithItsGoldenSet) {
  const test::TempFolder folder;
  write_package(folder);
  const auto subject = open_subject(folder.path());
  ASSERT_OK(subject);
  EXPECT_EQ(subject->input(1).size(), 3U);
  EXPECT_EQ(subject->output(1).size(), 1U);
  EXPECT_EQ(subject->labels, Bytes({'a', 'b'}));
  std::filesystem::remove(folder / "model.onnx");
  EXPECT_EQ(as_text(*subject->model.read_all()), "a model") << "what is open stays readable";
}

TEST(Subject, WhatIsMissingIsNamed) {
  const test::TempFolder folder;
  EXPECT_EQ(open_subject(folder.path()).error().message(), "drover.json: No such file or directory");
  write_package(folder);
  std::filesystem::remove(folder / "golden/out.f32");
  const auto no_outputs = open_subject(folder.path());
  EXPECT_CODE(no_outputs, Code::validate_golden);
  EXPECT_EQ(no_outputs.error().message(), "golden/out.f32: No such file or directory");
  std::filesystem::remove(folder / "model.onnx");
  EXPECT_CODE(open_subject(folder.path()), Code::validate_load);
}

TEST(Subject, AGoldenSetOfAnotherSizeIsRefused) {
  const test::TempFolder folder;
  write_package(folder);
  folder.write("golden/in.f32", std::string(20, '\0'));
  EXPECT_CODE(open_subject(folder.path()), Code::validate_golden);
  write_package(folder);
  folder.write("golden/labels.u8", "abc");
  EXPECT_CODE(open_subject(folder.path()), Code::validate_golden);
}

TEST(Subject, LinksAndFoldersAreNoFiles) {
  const test::TempFolder folder;
  write_package(folder);
  std::filesystem::rename(folder / "model.onnx", folder / "elsewhere");
  std::filesystem::create_symlink("elsewhere", folder / "model.onnx");
  EXPECT_EQ(open_subject(folder.path()).error().message(), "model.onnx: is a link");
  std::filesystem::remove(folder / "model.onnx");
  std::filesystem::create_directory(folder / "model.onnx");
  EXPECT_EQ(open_subject(folder.path()).error().message(), "model.onnx: is not a regular file");
}

// A confidential package may be links to files in the agent's memory, and to nothing else.
TEST(Subject, ALinkIntoAProcessMemoryIsFollowedAndNoOther) {
  const test::TempFolder folder;
  write_package(folder);
  auto memory = fs::MemoryFile::create("a-test");
  ASSERT_OK(memory);
  ASSERT_OK(memory->append(as_bytes("a model in memory")));
  std::filesystem::remove(folder / "model.onnx");
  std::filesystem::create_symlink(memory->path(), folder / "model.onnx");
  const auto subject = open_subject(folder.path());
  ASSERT_OK(subject);
  EXPECT_EQ(as_text(*subject->model.read_all()), "a model in memory");
  for (const char* elsewhere : {"/proc/self/exe", "/proc/1/fd/../root", "/proc/12/fd/", "/etc/passwd"}) {
    std::filesystem::remove(folder / "model.onnx");
    std::filesystem::create_symlink(elsewhere, folder / "model.onnx");
    EXPECT_EQ(open_subject(folder.path()).error().message(), "model.onnx: is a link") << elsewhere;
  }
}

TEST(Subject, APolicyThatDoesNotParseIsRefusedWithItsPlace) {
  const test::TempFolder folder;
  write_package(folder);
  folder.write("drover.json", R"({"version":1,"model":{"file":"model.onnx","runtime":7}})");
  const auto wrong = open_subject(folder.path());
  EXPECT_CODE(wrong, Code::validate_load);
  EXPECT_NE(wrong.error().message().find("/model/runtime"), std::string::npos) << wrong.error().message();
}

TEST(Subject, APackageForAnotherRuntimeIsNotForThisValidator) {
  const test::TempFolder folder;
  write_package(folder);
  folder.write("drover.json", R"({"version":1,"model":{"file":"model.onnx","runtime":"tflite"}})");
  EXPECT_CODE(open_subject(folder.path()), Code::validator_missing);
}

}  // namespace
}  // namespace drover::validators
