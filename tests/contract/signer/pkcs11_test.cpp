// What only tokens can do wrong.
#include "common/crypto/pkcs11.h"

#include <gmock/gmock.h>

#include "tests/contract/signer/token_keys.h"

namespace drover {
namespace {

using crypto::AskPin;
using crypto::PinQuestion;
using testing::HasSubstr;

class Pkcs11 : public testing::Test {
 protected:
  void SetUp() override {
    if (test::SoftHsm::module().empty()) GTEST_SKIP() << "SoftHSM 2 is not installed";
    hsm_.emplace();
    hsm_->make_token("releases");
  }

  static crypto::Pkcs11Uri parse(const std::string& text) {
    auto uri = crypto::parse_pkcs11_uri(text);
    EXPECT_OK(uri);
    return uri ? *uri : crypto::Pkcs11Uri();
  }
  crypto::Pkcs11Uri uri(const std::string& path) const { return parse(hsm_->uri(path)); }
  crypto::Pkcs11Uri uri(const std::string& path, const std::string& query) const {
    return parse(hsm_->uri(path, query));
  }
  crypto::TokenKey generate(const std::string& path) {
    auto key = crypto::generate_pkcs11(uri(path), {}, system_rng());
    EXPECT_OK(key);
    return key ? *key : crypto::TokenKey();
  }

  std::optional<test::SoftHsm> hsm_;
};

template <class T>
std::string message_of(const Result<T>& result) {
  return result ? "no error" : result.error().message();
}

TEST_F(Pkcs11, a_key_made_in_a_token_signs_under_the_uri_that_came_back) {
  const crypto::TokenKey made = generate("token=releases;object=alice");
  EXPECT_EQ(made.label, "alice");
  EXPECT_EQ(made.id.size(), 8u);
  EXPECT_EQ(made.half.scheme, crypto::Scheme::ed25519);
  crypto::Pkcs11Uri named = made.uri;
  named.pin_value = test::SoftHsm::kPin;
  const auto signer = crypto::open_pkcs11(named, {});
  ASSERT_OK(signer);
  EXPECT_EQ((*signer)->public_half(), made.half);
  EXPECT_OK((*signer)->sign("x"));
}

TEST_F(Pkcs11, a_key_is_never_overwritten) {
  const crypto::TokenKey made = generate("token=releases;object=alice");
  EXPECT_CODE(crypto::generate_pkcs11(uri("token=releases;object=alice"), {}, system_rng()), Code::already_exists);
  std::string id;
  for (const std::uint8_t byte : made.id) id += "%" + to_hex(ByteView(&byte, 1));
  EXPECT_CODE(crypto::generate_pkcs11(uri("token=releases;object=bob;id=" + id), {}, system_rng()),
              Code::already_exists);
}

TEST_F(Pkcs11, public_halves_are_listed_without_a_pin) {
  generate("token=releases;object=bob");
  generate("token=releases;object=alice");
  const auto keys = crypto::list_pkcs11(uri("token=releases", ""));
  ASSERT_OK(keys);
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ(keys->front().label, "alice");
  EXPECT_CODE(crypto::find_pkcs11(uri("token=releases", "")), Code::invalid_argument);
  EXPECT_OK(crypto::find_pkcs11(uri("token=releases;object=bob", "")));
}

TEST_F(Pkcs11, a_token_or_key_that_is_not_there_is_named_beside_those_that_are) {
  generate("token=releases;object=alice");
  const auto token = crypto::open_pkcs11(uri("token=other;object=alice"), {});
  EXPECT_CODE(token, Code::not_found);
  EXPECT_THAT(message_of(token), HasSubstr("\"releases\""));
  const auto key = crypto::open_pkcs11(uri("token=releases;object=carol"), {});
  EXPECT_CODE(key, Code::not_found);
  EXPECT_THAT(message_of(key), HasSubstr("object=alice"));
}

TEST_F(Pkcs11, several_tokens_or_keys_that_fit_are_a_question_not_a_choice) {
  test::make_key(*hsm_, "releases", {.label = "twin", .id = {1}});
  test::make_key(*hsm_, "releases", {.label = "twin", .id = {2}});
  const auto keys = crypto::open_pkcs11(uri("token=releases;object=twin"), {});
  EXPECT_CODE(keys, Code::invalid_argument);
  EXPECT_THAT(message_of(keys), HasSubstr("id=%02"));
  EXPECT_OK(crypto::open_pkcs11(uri("token=releases;object=twin;id=%02"), {}));
}

TEST_F(Pkcs11, two_tokens_of_one_name_are_told_apart_by_serial) {
  hsm_->make_token("releases");
  const auto both = crypto::open_pkcs11(uri("token=releases;object=alice"), {});
  EXPECT_CODE(both, Code::invalid_argument);
  EXPECT_THAT(message_of(both), HasSubstr("serial"));
}

TEST_F(Pkcs11, a_wrong_pin_is_refused_and_asked_for_once) {
  generate("token=releases;object=alice");
  int asked = 0;
  const AskPin ask = [&](const PinQuestion& question) -> Result<std::string> {
    ++asked;
    EXPECT_EQ(question.token, "releases");
    return std::string("9999");
  };
  const auto wrong = crypto::open_pkcs11(uri("token=releases;object=alice", ""), ask);
  EXPECT_CODE(wrong, Code::permission_denied);
  EXPECT_THAT(message_of(wrong), HasSubstr("CKR_PIN_INCORRECT"));
  EXPECT_EQ(asked, 1);
}

TEST_F(Pkcs11, without_a_pin_and_nobody_to_ask_the_error_says_where_to_put_it) {
  generate("token=releases;object=alice");
  const auto none = crypto::open_pkcs11(uri("token=releases;object=alice", ""), {});
  EXPECT_CODE(none, Code::permission_denied);
  EXPECT_THAT(message_of(none), HasSubstr("pin-source"));
}

TEST_F(Pkcs11, a_pin_file_that_others_may_read_is_refused) {
  generate("token=releases;object=alice");
  const auto file = hsm_->folder().write("open-pin", test::SoftHsm::kPin);
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  const auto open = crypto::open_pkcs11(uri("token=releases;object=alice", "&pin-source=" + file.string()), {});
  EXPECT_CODE(open, Code::permission_denied);
  EXPECT_THAT(message_of(open), HasSubstr("chmod 600"));
}

TEST_F(Pkcs11, two_keys_of_one_token_log_in_once) {
  generate("token=releases;object=alice");
  generate("token=releases;object=bob");
  const auto alice = crypto::open_pkcs11(uri("token=releases;object=alice"), {});
  ASSERT_OK(alice);
  const auto bob = crypto::open_pkcs11(uri("token=releases;object=bob", ""), {});
  ASSERT_OK(bob) << "the token is logged in already";
  EXPECT_OK((*bob)->sign("x"));
  EXPECT_NE((*alice)->public_half(), (*bob)->public_half());
}

TEST_F(Pkcs11, a_session_that_the_token_closed_is_opened_again) {
  generate("token=releases;object=alice");
  const auto signer = crypto::open_pkcs11(uri("token=releases;object=alice"), {});
  ASSERT_OK(signer);
  const auto token = crypto::find_token(uri("token=releases"));
  ASSERT_OK(token);
  ASSERT_EQ(token->module->call().C_CloseAllSessions(token->slot), CKR_OK);
  const auto signature = (*signer)->sign("x");
  ASSERT_OK(signature);
}

TEST_F(Pkcs11, a_key_that_asks_at_each_signature_is_answered) {
  test::make_key(*hsm_, "releases", {.label = "each", .id = {1}, .each_time = true});
  const auto signer = crypto::open_pkcs11(uri("token=releases;object=each"), {});
  ASSERT_OK(signer);
  for (int i = 0; i < 3; ++i) EXPECT_OK((*signer)->sign("x"));
}

TEST_F(Pkcs11, a_public_half_of_another_key_is_noticed_at_the_first_signature) {
  test::make_key(*hsm_, "releases", {.label = "mine", .id = {1}, .public_id = {9}});
  test::make_key(*hsm_, "releases", {.label = "other", .id = {2}, .public_id = {1}});
  const auto signer = crypto::open_pkcs11(uri("token=releases;object=mine"), {});
  ASSERT_OK(signer);
  EXPECT_CODE((*signer)->sign("x"), Code::bad_signature);
}

TEST_F(Pkcs11, what_is_no_module_is_said_to_be_none) {
  const auto missing = crypto::list_pkcs11(parse("pkcs11:token=x?module-path=/nonexistent/module.so"));
  EXPECT_CODE(missing, Code::not_found);
  EXPECT_THAT(message_of(missing), HasSubstr("/nonexistent/module.so"));
  const auto other = crypto::list_pkcs11(parse("pkcs11:token=x?module-path=libm.so.6"));
  EXPECT_CODE(other, Code::unsupported);
}

}  // namespace
}  // namespace drover
