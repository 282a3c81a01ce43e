// What people type for stages and variants.
#include "server/cli/stage_spec.h"
#include "server/cli/tar_file.h"
#include "server/cli/variant_spec.h"
#include "tests/support/expect.h"

namespace drover::cli {
namespace {

using std::chrono::seconds;

TEST(StageSpec, TakesAShareWithEverySetting) {
  const auto stage = parse_stage("25%,soak=60s,max-in-flight=10,failures=5%,min=3,success=95%,deadline=1h,auto");
  ASSERT_OK(stage);
  EXPECT_EQ(stage->percent, 25);
  EXPECT_EQ(stage->count, 0);
  EXPECT_EQ(stage->soak, seconds{60});
  EXPECT_EQ(stage->max_in_flight, 10);
  EXPECT_EQ(stage->failure_threshold_percent, 5);
  EXPECT_EQ(stage->min_sample, 3);
  EXPECT_EQ(stage->success_percent, 95);
  EXPECT_EQ(stage->deadline, seconds{3600});
  EXPECT_TRUE(stage->automatic);
}

TEST(StageSpec, TakesANumberOfDevicesAndKeepsTheDefaults) {
  const auto stage = parse_stage("10");
  ASSERT_OK(stage);
  EXPECT_EQ(stage->count, 10);
  EXPECT_EQ(stage->percent, 0);
  EXPECT_EQ(stage->deadline, wire::StageSpec{}.deadline);
  EXPECT_FALSE(stage->automatic);
}

TEST(StageSpec, RefusesWhatIsWrongAndNamesIt) {
  const std::pair<const char*, const char*> wrong[] = {{"", "begins with its size"},
                                                       {"0%", "more than 0%"},
                                                       {"101%", "no percentage"},
                                                       {"auto", "begins with its size"},
                                                       {"25%,soak", "soak"},
                                                       {"25%,soak=5", "no duration"},
                                                       {"25%,sok=5s", "sok"},
                                                       {"25%,auto,auto", "stands twice"},
                                                       {"25%,auto=yes", "auto"},
                                                       {"25%,min=0", "no whole number"},
                                                       {"25%,", "no setting"},
                                                       {"25%,deadline=0s", "at least 1s"},
                                                       {"25%,failures=101%", "no percentage"}};
  for (const auto& [text, sentence] : wrong) {
    const auto stage = parse_stage(text);
    ASSERT_CODE(stage, Code::invalid_argument) << text;
    EXPECT_NE(stage.error().message().find(sentence), std::string::npos) << text << ": " << stage.error().message();
  }
}

TEST(StageSpec, IsDescribedWithoutItsDefaults) {
  EXPECT_EQ(describe_stage(parse_stage("25%,soak=60s,auto").value()), "25%, soak 1 min, promotes by itself");
  EXPECT_EQ(describe_stage(parse_stage("1").value()), "1 device, promoted by a person");
}

TEST(VariantSpec, TakesAFolderAndSettings) {
  const auto variant = parse_variant("gate-arm64=build/int8,precision=int8,runtime=onnx,accelerator=npu");
  ASSERT_OK(variant);
  EXPECT_EQ(variant->kind, "gate-arm64");
  EXPECT_EQ(variant->folder, "build/int8");
  EXPECT_EQ(variant->precision, "int8");
  EXPECT_EQ(variant->architecture, "arm64");
  EXPECT_EQ(variant->runtime, "onnx");
  EXPECT_EQ(variant->accelerator, "npu");
}

TEST(VariantSpec, GuessesTheProcessorUnlessItIsGiven) {
  EXPECT_EQ(parse_variant("kiosk-x64=d").value().architecture, "amd64");
  EXPECT_EQ(parse_variant("kiosk-aarch64=d").value().architecture, "arm64");
  EXPECT_EQ(parse_variant("kiosk=d").value().architecture, "amd64");
  EXPECT_EQ(parse_variant("kiosk-x64=d,arch=riscv64").value().architecture, "riscv64");
  EXPECT_EQ(parse_variant("kiosk=d,arch=x86_64").value().architecture, "amd64");
}

TEST(VariantSpec, RefusesWhatIsWrong) {
  for (const char* text :
       {"", "kiosk", "=dir", "kiosk=", "Kiosk=dir", "ki osk=dir", "kiosk=dir,speed=9", "kiosk=dir,arch",
        "kiosk=dir,arch=", "kiosk=dir,arch=a/b", "kiosk=dir,arch=amd64,arch=arm64", "../x=dir"})
    EXPECT_CODE(parse_variant(text), Code::invalid_argument) << text;
}

TEST(LayoutMember, OnlyTheNamesOfALayoutPass) {
  const std::string hex(64, 'a');
  for (const std::string& name :
       {std::string("oci-layout"), std::string("index.json"), "blobs/sha256/" + hex, std::string("drover/mnist.json")})
    EXPECT_TRUE(is_layout_member(name)) << name;
  for (const std::string& name :
       {std::string(), std::string("../index.json"), std::string("/index.json"), "blobs/sha256/" + hex + "0",
        "blobs/sha256/../" + hex, "blobs/sha512/" + hex, "blobs/sha256/" + std::string(64, 'A'),
        std::string("drover/../x.json"), std::string("drover/.json"), std::string("drover/a/b.json"),
        std::string("drover/"), std::string("drover/Mnist.json")})
    EXPECT_FALSE(is_layout_member(name)) << name;
}

}  // namespace
}  // namespace drover::cli
