#include <atomic>
#include <thread>

#include "tests/contract/store/suite.h"

namespace drover::store {
namespace {

INSTANTIATE_TEST_SUITE_P(Kinds, StoreSuite, ::testing::Values(sqlite_kind()), kind_name);

GroupRow group(std::string name, std::string query = "all") {
  GroupRow row;
  row.name = std::move(name);
  row.query = std::move(query);
  row.created_by = "ann";
  return row;
}

TEST_P(StoreSuite, WhatWasAnsweredIsThereAfterReopening) {
  ASSERT_OK(write([](Writer& writer) { return writer.groups.insert(group("kiosks")); }));
  reopen();
  const auto groups = read<std::vector<GroupRow>>([](const Reader& in) { return in.groups.all(); });
  ASSERT_OK(groups);
  ASSERT_EQ(groups->size(), 1U);
  EXPECT_EQ(groups->front().name, "kiosks");
}

TEST_P(StoreSuite, AClosureThatFailsLeavesNothingAndDisturbsNobody) {
  const Status failed = write([](Writer& writer) -> Status {
    TRY(writer.groups.insert(group("half")));
    return Error(Code::conflict, "changed my mind");
  });
  EXPECT_CODE(failed, Code::conflict);
  ASSERT_OK(write([](Writer& writer) { return writer.groups.insert(group("whole")); }));
  const auto groups = read<std::vector<GroupRow>>([](const Reader& in) { return in.groups.all(); });
  ASSERT_OK(groups);
  ASSERT_EQ(groups->size(), 1U);
  EXPECT_EQ(groups->front().name, "whole");
}

TEST_P(StoreSuite, ManyWritersAtOnceAreAllAnsweredInFewerCommits) {
  constexpr int kThreads = 8, kEach = 25;
  std::atomic<int> stored{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i)
        if (write([&](Writer& writer) { return writer.groups.insert(group("g" + std::to_string(t * kEach + i))); }))
          ++stored;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stored, kThreads * kEach);
  EXPECT_EQ(store_->stats().writes, static_cast<std::uint64_t>(kThreads * kEach));
  EXPECT_LE(store_->stats().commits, store_->stats().writes);
}

TEST_P(StoreSuite, AReadSeesOneStateHoweverLongItTakes) {
  ASSERT_OK(write([](Writer& writer) { return writer.groups.insert(group("first")); }));
  const auto grown = read<bool>([&](const Reader& in) -> Result<bool> {
    TRY_ASSIGN(const auto before, in.groups.all());
    TRY(write([](Writer& writer) { return writer.groups.insert(group("second")); }));
    TRY_ASSIGN(const auto after, in.groups.all());
    return after.size() > before.size();
  });
  ASSERT_OK(grown);
  EXPECT_FALSE(*grown);
}

TEST_P(StoreSuite, AControlChangeIsPublishedBeforeItIsAnswered) {
  const std::int64_t before = store_->revision();
  ASSERT_OK(write([](Writer& writer) -> Status {
    writer.control_changed();
    return writer.groups.insert(group("kiosks", "kind = \"kiosk-x64\""));
  }));
  EXPECT_GT(store_->revision(), before);
  ASSERT_NE(store_->control()->group("kiosks"), nullptr);
  EXPECT_EQ(store_->control()->revision, store_->revision());
}

TEST_P(StoreSuite, ARevisionIsNeverUsedAgainAfterARestart) {
  ASSERT_OK(write([](Writer& writer) -> Status {
    writer.control_changed();
    return writer.groups.insert(group("kiosks"));
  }));
  const std::int64_t before = store_->revision();
  reopen();
  EXPECT_GE(store_->revision(), before);
  EXPECT_NE(store_->control()->group("kiosks"), nullptr);
}

TEST_P(StoreSuite, WithinATransactionTheControlPlaneShowsItsOwnChanges) {
  const auto seen = write<bool>([](Writer& writer) -> Result<bool> {
    TRY(writer.groups.insert(group("new")));
    writer.control_changed();
    TRY_ASSIGN(const auto control, writer.control());
    return control->group("new") != nullptr;
  });
  ASSERT_OK(seen);
  EXPECT_TRUE(*seen);
}

TEST_P(StoreSuite, AFailedClosuresControlChangeIsNotSeenByTheNext) {
  EXPECT_CODE(write([](Writer& writer) -> Status {
                TRY(writer.groups.insert(group("ghost")));
                writer.control_changed();
                TRY(writer.control());
                return Error(Code::conflict, "no");
              }),
              Code::conflict);
  ASSERT_OK(write([](Writer& writer) -> Status {
    writer.control_changed();
    return writer.groups.insert(group("real"));
  }));
  EXPECT_EQ(store_->control()->group("ghost"), nullptr);
  EXPECT_NE(store_->control()->group("real"), nullptr);
}

TEST_P(StoreSuite, AGroupThatIsChangedTwiceIsNeverShownInItsOlderForm) {
  ASSERT_OK(write([](Writer& writer) -> Status {
    writer.control_changed();
    return writer.groups.insert(group("g", "kind = \"a\""));
  }));
  const auto change = [this](std::string query, bool fail) {
    return write([=](Writer& writer) -> Status {
      GroupRow row = group("g", query);
      row.version = 2;
      TRY(writer.groups.update(row));
      writer.control_changed();
      TRY(writer.control());
      return fail ? Status(Error(Code::conflict, "no")) : Status();
    });
  };
  EXPECT_CODE(change("kind = \"wrong\"", true), Code::conflict);
  ASSERT_OK(change("kind = \"b\"", false));
  EXPECT_EQ(store_->control()->group("g")->group.query()->text(), "kind = \"b\"");
}

TEST_P(StoreSuite, WritesAfterTheStopAreRefused) {
  store_->stop();
  EXPECT_CODE(write([](Writer& writer) { return writer.groups.insert(group("late")); }), Code::unavailable);
}

TEST_P(StoreSuite, LastSeenIsWrittenAtTheFlushAndAtTheStop) {
  const Device first = enrol(device(1)), second = enrol(device(2));
  store_->seen(first.no);
  store_->flush_seen();
  store_->seen(second.no);
  store_->stop();
  reopen();
  for (const DeviceNo no : {first.no, second.no}) {
    const auto found = read<std::optional<Device>>([no](const Reader& in) { return in.devices.find(no); });
    ASSERT_OK(found);
    EXPECT_EQ((*found)->last_seen, clock_.wall());
  }
}

}  // namespace
}  // namespace drover::store
