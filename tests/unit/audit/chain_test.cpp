#include "server/audit/chain.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace drover::audit {
namespace {

const WallTime kStart{std::chrono::seconds(1'000'000'000)};

std::vector<Entry> chain(int length) {
  std::vector<Entry> entries;
  Head head;
  for (int i = 0; i < length; ++i) {
    entries.push_back(append(head, {kStart + std::chrono::seconds(i), "ann", "operator", "rollout.halt",
                                    "r" + std::to_string(i), "why", "ok"}));
    head = head_of(entries.back());
  }
  return entries;
}

TEST(AuditChain, HoldsAsItWasWritten) {
  EXPECT_FALSE(verify({}));
  EXPECT_FALSE(verify(chain(1)));
  const auto entries = chain(50);
  EXPECT_FALSE(verify(entries));
  EXPECT_EQ(entries[0].seq, 1);
  EXPECT_EQ(entries[0].prev_hash, wire::kAuditOrigin);
}

TEST(AuditChain, IsCheckedInPagesToo) {
  const auto entries = chain(10);
  const std::span<const Entry> all(entries);
  EXPECT_FALSE(verify(all.subspan(4), head_of(entries[3])));
  EXPECT_TRUE(verify(all.subspan(4), head_of(entries[2])));
}

TEST(AuditChain, NamesTheFirstEntryWhoseContentWasChangedWhateverTheField) {
  const auto check = [](auto change) {
    auto entries = chain(10);
    change(entries[6]);
    const auto broken = verify(entries);
    ASSERT_TRUE(broken.has_value());
    EXPECT_EQ(broken->seq, 7);
  };
  check([](Entry& e) { e.at += std::chrono::seconds(1); });
  check([](Entry& e) { e.actor = "bob"; });
  check([](Entry& e) { e.role = "admin"; });
  check([](Entry& e) { e.action = "rollout.pause"; });
  check([](Entry& e) { e.subject += "x"; });
  check([](Entry& e) { e.detail.clear(); });
  check([](Entry& e) { e.outcome = "conflict"; });
  check([](Entry& e) { e.hash[0] = e.hash[0] == '0' ? '1' : '0'; });
  check([](Entry& e) { e.prev_hash[0] = e.prev_hash[0] == '0' ? '1' : '0'; });
}

TEST(AuditChain, SeesEntriesTakenOutPutInOrSwapped) {
  auto gone = chain(10);
  gone.erase(gone.begin() + 4);
  EXPECT_EQ(verify(gone)->seq, 5);
  auto beheaded = chain(10);
  beheaded.erase(beheaded.begin());
  EXPECT_EQ(verify(beheaded)->seq, 1);
  auto swapped = chain(10);
  std::swap(swapped[2], swapped[3]);
  EXPECT_EQ(verify(swapped)->seq, 3);
  auto doubled = chain(10);
  doubled.insert(doubled.begin() + 5, doubled[4]);
  EXPECT_EQ(verify(doubled)->seq, 6);
}

TEST(AuditChain, SeesARewrittenEntryEvenWithAFreshHash) {
  auto entries = chain(10);
  entries[4] = append(head_of(entries[3]), {kStart, "mallory", "admin", "nothing.happened", "", "", "ok"});
  EXPECT_EQ(verify(entries)->seq, 6) << "the rest does not follow any more";
}

TEST(AuditChain, DoesNotLetOneFieldPassForAnother) {
  const Entry a = append({}, {kStart, "ann", "op", "x", "y\nrole:2:zz", "", "ok"});
  const Entry b = append({}, {kStart, "ann", "op", "x\nsubject:1:y", "zz", "", "ok"});
  EXPECT_NE(a.hash, b.hash);
  const Entry c = append({}, {kStart, "annop", "", "x", "", "", "ok"});
  const Entry d = append({}, {kStart, "ann", "op", "x", "", "", "ok"});
  EXPECT_NE(c.hash, d.hash);
}

TEST(AuditChain, KeepsWhatHappenedWhenItIsTooLongOrNoText) {
  const Entry entry = append({}, {kStart, std::string(1000, 'a'), "r", "a", "s\xFFt", std::string(5000, 'd'), "ok"});
  EXPECT_EQ(entry.actor.size(), wire::kMaxAuditField);
  EXPECT_TRUE(entry.actor.ends_with("a..."));
  EXPECT_EQ(entry.subject, "s?t");
  EXPECT_EQ(entry.detail.size(), wire::kMaxAuditDetail);
  EXPECT_FALSE(verify(std::vector<Entry>{entry}));
  std::string wide;
  for (int i = 0; i < 200; ++i) wide += "é";
  const Entry cut = append({}, {kStart, wide, "", "", "", "", ""});
  EXPECT_LE(cut.actor.size(), wire::kMaxAuditField);
  EXPECT_TRUE(cut.actor.ends_with("é...")) << "not in the middle of a character";
  EXPECT_EQ(append({}, {kStart, std::string(256, 'a'), "", "", "", "", ""}).actor, std::string(256, 'a'));
}

TEST(AuditChain, GoesThroughJsonUnchanged) {
  const Entry entry = append({}, {kStart, "ann", "operator", "group.create", "eu", "attr.a = \"ü\"\n", "ok"});
  const auto back = wire::decode_audit_entry(nlohmann::json::parse(wire::encode(entry).dump()));
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(*back, entry);
  EXPECT_FALSE(wire::decode_audit_entry(nlohmann::json::parse(R"({"seq":0})")));
}

// The form is on disk and in people's hands: a change breaks every log that exists.
TEST(AuditChain, HashesTheFormThatIsWrittenDown) {
  Entry entry;
  entry.seq = 1;
  entry.at = WallTime(std::chrono::seconds(0));
  entry.actor = "ann";
  entry.action = "a";
  entry.outcome = "ok";
  entry.prev_hash = "00";
  EXPECT_EQ(
      wire::audit_canonical(entry),
      "drover-audit-v1\nseq:1:1\nat:20:1970-01-01T00:00:00Z\nactor:3:ann\nrole:0:\naction:1:a\nsubject:0:\ndetail:0:\n"
      "outcome:2:ok\nprev_hash:2:00\n");
}

}  // namespace
}  // namespace drover::audit
