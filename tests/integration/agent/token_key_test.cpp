// A device whose key never leaves its token: the real agent against SoftHSM 2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/pkcs11.h"
#include "tests/integration/agent/scene.h"
#include "tests/support/expect.h"
#include "tests/support/soft_hsm.h"

namespace drover::test {
namespace {

class TokenKeyTest : public testing::Test {
 protected:
  void SetUp() override {
    if (SoftHsm::module().empty()) GTEST_SKIP() << "SoftHSM 2 is not installed";
    hsm_.emplace();
    hsm_->make_token("device");
    const auto uri = crypto::parse_pkcs11_uri(hsm_->uri("token=device;object=identity"));
    ASSERT_OK(uri);
    const auto made = crypto::generate_pkcs11(*uri, {}, system_rng());
    ASSERT_OK(made);
    id_ = crypto::device_id(*crypto::ed25519_key(made->half));
    scene_.environment("SOFTHSM2_CONF=" + (hsm_->folder() / "softhsm2.conf").string());
    scene_.settings().device_key = hsm_->uri("token=device;object=identity");
  }

  std::optional<SoftHsm> hsm_;
  Scene scene_;
  std::string id_;
};

TEST_F(TokenKeyTest, it_enrols_installs_and_reports_with_it_and_writes_no_key_file) {
  const Published v1 = scene_.server().publish("digits", "1.0.0", 1, small_package("model 1"));
  scene_.server().assign(v1, "dep-1");
  scene_.start();
  const auto event = scene_.outcome("dep-1");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->outcome, wire::Outcome::succeeded) << event->detail;
  EXPECT_EQ(scene_.server().device_id(), id_);
  EXPECT_FALSE(std::filesystem::exists(scene_.state() + "/device.key"));
  scene_.stop();
}

}  // namespace
}  // namespace drover::test
