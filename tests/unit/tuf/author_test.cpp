// The authoring side: what the tool and the server make.
#include "common/tuf/author.h"

#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

class Author : public ::testing::Test {
 protected:
  Key public_key(const std::string& name) { return Repository::public_key(repository.key(name)); }
  Repository repository;
};

TEST_F(Author, MakesAKeyWithTheIdOfItsCanonicalForm) {
  const Key key = public_key("a");
  const std::string canonical =
      R"({"keytype":"ed25519","keyval":{"public":")" + key.public_text + R"("},"scheme":"ed25519"})";
  EXPECT_EQ(key.id, crypto::sha256(canonical).hex());
  EXPECT_EQ(read_key(key.object)->id, key.id);
}

TEST_F(Author, DropsSignaturesWhenTheSignedPartChanges) {
  Document document = make_targets(kStart);
  ASSERT_TRUE(document.sign(repository.key("a")));
  ASSERT_EQ(document.signatures().size(), 1u);
  document.bump(kStart + 1h);
  EXPECT_TRUE(document.signatures().empty());
  EXPECT_EQ(document.version(), 2);
  EXPECT_EQ(*document.expires(), kStart + 1h);
}

TEST_F(Author, SignsOnceAKey) {
  Document document = make_targets(kStart);
  ASSERT_TRUE(document.sign(repository.key("a")));
  ASSERT_TRUE(document.sign(repository.key("a")));
  EXPECT_EQ(document.signatures().size(), 1u);
}

TEST_F(Author, CollectsSignaturesFromSeveralCopies) {
  Document first = make_targets(kStart);
  Document second = *Document::parse(bytes_of(first.encode()));
  ASSERT_TRUE(first.sign(repository.key("a")));
  ASSERT_TRUE(second.sign(repository.key("b")));
  ASSERT_TRUE(first.merge(*Document::parse(bytes_of(second.encode()))));
  Keys keys;
  RoleKeys role{.keyids = {}, .threshold = 2};
  for (const char* name : {"a", "b", "c"}) {
    keys.emplace(public_key(name).id, public_key(name));
    role.keyids.push_back(public_key(name).id);
  }
  const auto state = signature_state(first, keys, role, nullptr);
  ASSERT_TRUE(state);
  EXPECT_TRUE(state->complete());
  EXPECT_EQ(state->signed_by.size(), 2u);
  EXPECT_EQ(state->missing, Names{public_key("c").id});
}

TEST_F(Author, DoesNotJoinSignaturesOfDifferentContents) {
  Document first = make_targets(kStart), second = make_targets(kStart + 1h);
  EXPECT_EQ(first.merge(second).error().code(), Code::metadata_mismatch);
}

TEST_F(Author, SaysWhatIsMissingBeforeAnybodyHasSigned) {
  Keys keys{{public_key("a").id, public_key("a")}};
  const auto state =
      signature_state(make_targets(kStart), keys, {.keyids = {public_key("a").id}, .threshold = 1}, nullptr);
  ASSERT_TRUE(state);
  EXPECT_FALSE(state->complete());
  EXPECT_EQ(state->missing.size(), 1u);
}

TEST_F(Author, KeepsUnknownFieldsWhenAFileIsReadAndWritten) {
  Document document = make_targets(kStart);
  document.edit()["x-comment"] = "kept";
  ASSERT_TRUE(document.sign(repository.key("a")));
  const std::string text = document.encode();
  EXPECT_EQ(Document::parse(bytes_of(text))->encode(), text);
}

TEST_F(Author, ListsATargetAndTakesItOut) {
  Document document = make_targets(kStart);
  const Target target = Repository::target_of("index", release_custom_json({1, {"kiosk-x64"}}));
  ASSERT_TRUE(add_target(document, "mnist/1", target));
  auto parsed = parse_targets(*document.envelope());
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->targets.at("mnist/1").length, 5u);
  EXPECT_EQ(parse_release_custom(parsed->targets.at("mnist/1").custom)->kinds, Names{"kiosk-x64"});
  ASSERT_TRUE(remove_target(document, "mnist/1"));
  EXPECT_TRUE(parse_targets(*document.envelope())->targets.empty());
  EXPECT_EQ(remove_target(document, "mnist/1").error().code(), Code::not_found);
}

TEST_F(Author, ReplacesADelegationAndDropsKeysThatNobodyUses) {
  Document document = make_targets(kStart);
  ASSERT_TRUE(set_delegation(document, model_delegation("mnist", {public_key("a"), public_key("b")}, 2)));
  ASSERT_TRUE(set_delegation(document, model_delegation("cats", {public_key("b")}, 1)));
  ASSERT_TRUE(set_delegation(document, model_delegation("mnist", {public_key("c")}, 1)));
  const Targets parsed = *parse_targets(*document.envelope());
  ASSERT_EQ(parsed.delegations.size(), 2u);
  EXPECT_EQ(parsed.delegations[0].name, "mnist");
  EXPECT_EQ(parsed.delegations[0].paths, Names{"mnist/*"});
  EXPECT_TRUE(parsed.delegations[0].terminating);
  EXPECT_EQ(parsed.delegation_keys.size(), 2u);
  EXPECT_FALSE(parsed.delegation_keys.contains(public_key("a").id));
  ASSERT_TRUE(remove_delegation(document, "cats"));
  EXPECT_EQ(parse_targets(*document.envelope())->delegation_keys.size(), 1u);
  EXPECT_EQ(remove_delegation(document, "cats").error().code(), Code::not_found);
}

TEST_F(Author, RefusesThresholdsThatNobodyOrAnybodyCouldMeet) {
  Document document = make_targets(kStart);
  EXPECT_EQ(set_delegation(document, model_delegation("mnist", {public_key("a")}, 0)).error().code(),
            Code::invalid_argument);
  EXPECT_EQ(set_delegation(document, model_delegation("mnist", {public_key("a")}, 2)).error().code(),
            Code::invalid_argument);
  EXPECT_EQ(set_delegation(document, model_delegation("mnist", {public_key("a"), public_key("a")}, 2)).error().code(),
            Code::invalid_argument);
  EXPECT_EQ(set_root_threshold(repository.root, "root", 2).error().code(), Code::invalid_argument);
  EXPECT_EQ(set_root_threshold(repository.root, "root", 0).error().code(), Code::invalid_argument);
}

TEST_F(Author, DoesNotLeaveARoleOfRootBelowItsThreshold) {
  EXPECT_EQ(remove_root_key(repository.root, "root", public_key("root").id).error().code(), Code::precondition_failed);
  EXPECT_EQ(remove_root_key(repository.root, "root", "nobody").error().code(), Code::not_found);
  EXPECT_EQ(add_root_key(repository.root, "mnist", public_key("a")).error().code(), Code::invalid_argument);
}

TEST_F(Author, TakesAKeyOutOfRootWhenItsLastRoleIsGone) {
  Repository::add(repository.root, "root", repository.key("shared"));
  Repository::add(repository.root, "targets", repository.key("shared"));
  ASSERT_TRUE(remove_root_key(repository.root, "root", public_key("shared").id));
  EXPECT_TRUE(parse_root(*repository.root.envelope())->keys.contains(public_key("shared").id));
  ASSERT_TRUE(remove_root_key(repository.root, "targets", public_key("shared").id));
  EXPECT_FALSE(parse_root(*repository.root.envelope())->keys.contains(public_key("shared").id));
}

TEST_F(Author, DoesNotEditAFileOfAnotherTypeOrShape) {
  Document targets = make_targets(kStart);
  EXPECT_EQ(add_root_key(targets, "root", public_key("a")).error().code(), Code::invalid_argument);
  EXPECT_EQ(add_target(repository.root, "mnist/1", Repository::target_of("x")).error().code(), Code::invalid_argument);
  targets.edit()["delegations"] = {{"keys", 1}, {"roles", "x"}};
  EXPECT_FALSE(set_delegation(targets, model_delegation("mnist", {public_key("a")}, 1)));
  EXPECT_FALSE(remove_delegation(targets, "mnist"));
}

TEST_F(Author, DescribesAFileAsItsParentListsIt) {
  const Document document = make_targets(kStart);
  const std::string text = document.encode();
  const auto described = Document::describe(as_bytes(text));
  ASSERT_TRUE(described);
  EXPECT_EQ(described->version, 1);
  EXPECT_EQ(described->length, text.size());
  EXPECT_TRUE(verify_listed(*described, as_bytes(text)));
}

}  // namespace
}  // namespace drover::tuf::testing
