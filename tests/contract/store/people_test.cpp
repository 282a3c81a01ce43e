#include "tests/contract/store/suite.h"

namespace drover::store {
namespace {

TEST_P(StoreSuite, ATokenIsKnownUntilItIsRemoved) {
  TokenRow token{"t-1", "hash", "ann", auth::Role::operator_, clock_.wall(), clock_.wall() + std::chrono::hours(1)};
  ASSERT_OK(write([&](Writer& writer) -> Status {
    writer.control_changed();
    return writer.tokens.insert(token);
  }));
  ASSERT_EQ(store_->control()->tokens.count("hash"), 1U);
  EXPECT_EQ(store_->control()->tokens.at("hash").role, auth::Role::operator_);
  const auto removed = write<bool>([](Writer& writer) -> Result<bool> {
    writer.control_changed();
    return writer.tokens.remove("t-1");
  });
  EXPECT_TRUE(*removed);
  EXPECT_EQ(store_->control()->tokens.count("hash"), 0U);
}

TEST_P(StoreSuite, AnEnrolmentTokenIsUsedUp) {
  EnrolmentTokenRow token{"et-1", "h", "line 4", {"lab"}, clock_.wall(), clock_.wall(), 2};
  ASSERT_OK(write([&](Writer& writer) { return writer.enrolment_tokens.insert(token); }));
  for (int i = 0; i < 3; ++i) ASSERT_OK(write([](Writer& writer) { return writer.enrolment_tokens.use("et-1"); }));
  const auto found =
      read<std::optional<EnrolmentTokenRow>>([](const Reader& in) { return in.enrolment_tokens.find_hash("h"); });
  ASSERT_OK(found);
  EXPECT_EQ((*found)->uses_left, 0);
  EXPECT_EQ((*found)->tags, std::vector<std::string>{"lab"});
}

TEST_P(StoreSuite, TheAuditLogIsAChainThatHolds) {
  for (int i = 0; i < 3; ++i)
    ASSERT_OK(write([&](Writer& writer) -> Status {
      TRY_ASSIGN(const audit::Head head, writer.audit.head());
      audit::Event event;
      event.at = clock_.wall();
      event.actor = "ann";
      event.action = "rollout.halt";
      return writer.audit.insert(audit::append(head, event));
    }));
  const auto entries = read<std::vector<wire::AuditEntry>>([](const Reader& in) { return in.audit.list(0, 10); });
  ASSERT_OK(entries);
  ASSERT_EQ(entries->size(), 3U);
  EXPECT_FALSE(audit::verify(*entries));
  auto changed = *entries;
  changed[1].actor = "bob";
  EXPECT_TRUE(audit::verify(changed));
}

TEST_P(StoreSuite, AnswersAreKeptForADayAndNoKeyIsUsedTwice) {
  const KeptAnswer answer{"digest", 201, "\"1\"", "{}"};
  ASSERT_OK(write([&](Writer& writer) { return writer.answers.insert("t-1", "key", answer, clock_.wall()); }));
  EXPECT_CODE(write([&](Writer& writer) { return writer.answers.insert("t-1", "key", answer, clock_.wall()); }),
              Code::already_exists);
  ASSERT_OK(write([&](Writer& writer) { return writer.answers.insert("t-2", "key", answer, clock_.wall()); }));
  EXPECT_EQ((*read<std::optional<KeptAnswer>>([](const Reader& in) { return in.answers.find("t-1", "key"); }))->status, 201);
  ASSERT_OK(write([&](Writer& writer) { return writer.answers.forget_before(clock_.wall() + std::chrono::seconds(1)); }));
  EXPECT_FALSE(*read<std::optional<KeptAnswer>>([](const Reader& in) { return in.answers.find("t-1", "key"); }));
}

TEST_P(StoreSuite, PublishedMetadataIsNeverRewritten) {
  ASSERT_OK(write([](Writer& writer) { return writer.metadata.insert({"root", 1, "one"}); }));
  EXPECT_CODE(write([](Writer& writer) { return writer.metadata.insert({"root", 1, "other"}); }), Code::already_exists);
  ASSERT_OK(write([](Writer& writer) { return writer.metadata.insert({"root", 2, "two"}); }));
  ASSERT_OK(write([](Writer& writer) { return writer.metadata.insert({"targets", 1, "t"}); }));
  EXPECT_EQ((*read<std::optional<MetadataRow>>([](const Reader& in) { return in.metadata.latest("root"); }))->bytes, "two");
  EXPECT_EQ((*read<std::optional<MetadataRow>>([](const Reader& in) { return in.metadata.find("root", 1); }))->bytes, "one");
  EXPECT_EQ(read<std::vector<MetadataRow>>([](const Reader& in) { return in.metadata.current(); })->size(), 2U);
}

TEST_P(StoreSuite, AnUploadRemembersHowFarItCame) {
  const UploadRow upload{"up-1", "sha256:aa", 100, 0, "ann", clock_.wall()};
  ASSERT_OK(write([&](Writer& writer) { return writer.uploads.insert(upload); }));
  ASSERT_OK(write([](Writer& writer) { return writer.uploads.set_stored("up-1", 60); }));
  reopen();
  EXPECT_EQ((*read<std::optional<UploadRow>>([](const Reader& in) { return in.uploads.find_digest("sha256:aa"); }))->stored, 60U);
  EXPECT_EQ(read<std::vector<UploadRow>>([&](const Reader& in) {
              return in.uploads.older_than(clock_.wall() + std::chrono::seconds(1), 10);
            })->size(),
            1U);
}

TEST_P(StoreSuite, ReleasesComeBackInTheOrderOfPublication) {
  for (const char* version : {"2.0.0", "1.0.0"}) {
    ReleaseRow row;
    row.model = "mnist";
    row.version = version;
    row.index_digest = "sha256:aa";
    row.variants = {{"kiosk-x64", "amd64", "fp32", "sha256:bb", 10}};
    ASSERT_OK(write([&](Writer& writer) -> Status {
      writer.control_changed();
      return writer.releases.insert(row);
    }));
  }
  const auto all = read<std::vector<ReleaseRow>>([](const Reader& in) { return in.releases.all(); });
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ(all->front().version, "2.0.0");
  ASSERT_NE(store_->control()->release("mnist", "1.0.0"), nullptr);
  EXPECT_NE(store_->control()->release("mnist", "1.0.0")->variant("kiosk-x64"), nullptr);
}

}  // namespace
}  // namespace drover::store
