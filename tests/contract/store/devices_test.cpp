#include "server/rollout/bucket.h"
#include "tests/contract/store/suite.h"

namespace drover::store {
namespace {

fleet::Group parse(std::string_view query) { return std::move(*fleet::Group::from_query("g", query)); }

TEST_P(StoreSuite, ADeviceComesBackWithAllThatItSaid) {
  Device wanted = device(1);
  wanted.view.attributes = {{"os", "2.10.1"}, {"region", "eu"}};
  wanted.view.tags = {"canary", "lab"};
  wanted.identity_digest = "0123456789abcdef";
  wanted = enrol(wanted);
  const auto found = read<std::optional<Device>>([&](const Reader& in) { return in.devices.find_id(wanted.view.id); });
  ASSERT_OK(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->no, wanted.no);
  EXPECT_EQ((*found)->key, wanted.key);
  EXPECT_EQ((*found)->view.attributes, wanted.view.attributes);
  EXPECT_EQ((*found)->view.tags, wanted.view.tags);
  EXPECT_EQ((*found)->identity_digest, wanted.identity_digest);
}

TEST_P(StoreSuite, TheSameKeyEnrolsOnce) {
  enrol(device(1));
  const Device again = device(1);
  EXPECT_CODE(write<DeviceNo>([&](Writer& writer) { return writer.devices.insert(again); }), Code::already_exists);
}

TEST_P(StoreSuite, KindCountsFollowEveryChange) {
  const auto kinds = [this] {
    std::string text;
    const auto all = read<std::vector<KindCount>>([](const Reader& in) { return in.devices.kinds(); });
    for (const KindCount& kind : *all) text += kind.kind + "=" + std::to_string(kind.devices) + " ";
    return text;
  };
  Device waiting = device(3);
  waiting.view.state = fleet::DeviceState::pending;
  enrol(device(1));
  Device second = enrol(device(2));
  waiting = enrol(waiting);
  EXPECT_EQ(kinds(), "kiosk-x64=2 ");
  ASSERT_OK(write([&](Writer& writer) {
    return writer.devices.set_state(waiting, fleet::DeviceState::active, clock_.wall());
  }));
  EXPECT_EQ(kinds(), "kiosk-x64=3 ");
  fleet::DeviceView moved = second.view;
  moved.kind = "camera-arm64";
  ASSERT_OK(write([&](Writer& writer) { return writer.devices.set_identity(second, moved, "d"); }));
  EXPECT_EQ(kinds(), "camera-arm64=1 kiosk-x64=2 ");
  second.view = moved;
  ASSERT_OK(write([&](Writer& writer) {
    return writer.devices.set_state(second, fleet::DeviceState::decommissioned, clock_.wall());
  }));
  EXPECT_EQ(kinds(), "kiosk-x64=2 ");
}

TEST_P(StoreSuite, TheDatabaseAndMemoryAgreeOnWhoIsInAGroup) {
  std::vector<Device> all;
  for (int i = 0; i < 30; ++i) {
    Device one = device(i, i % 3 == 0 ? "camera-arm64" : "kiosk-x64");
    one.view.attributes = {{"os", i % 2 == 0 ? "2.9.0" : "2.10.0"}};
    if (i % 4 == 0) one.view.attributes.emplace_back("ram", std::to_string(i));
    if (i % 5 == 0) one.view.tags = {"canary"};
    all.push_back(enrol(one));
  }
  for (const char* query :
       {"all", "kind = \"kiosk-x64\"", "tag:canary", "tag:canary and attr.os >= 2.10.0", "not tag:canary",
        "tag:canary or kind = \"camera-arm64\"", "exists attr.ram and attr.ram > 9", "attr.os < 2.10.0 and name like \"device 1%\"",
        "state = \"active\"", "tag:nobody"}) {
    const fleet::Group group = parse(query);
    std::size_t expected = 0;
    for (const Device& one : all) expected += group.covers(one.view) ? 1 : 0;
    DeviceFilter filter;
    filter.group = &group;
    const auto listed = read<std::vector<Device>>([&](const Reader& in) { return in.devices.list(filter, 0, 100); });
    ASSERT_OK(listed) << query;
    EXPECT_EQ(listed->size(), expected) << query;
    for (const Device& one : *listed) EXPECT_TRUE(group.covers(one.view)) << query;
    const auto count = read<std::int64_t>([&](const Reader& in) { return in.devices.count(filter, 1000); });
    EXPECT_EQ(*count, static_cast<std::int64_t>(expected)) << query;
  }
}

TEST_P(StoreSuite, AListIsReadPageByPageAndACountEndsAtItsLimit) {
  for (int i = 0; i < 10; ++i) enrol(device(i));
  std::size_t pages = 0, devices = 0;
  for (DeviceNo after = 0;; ++pages) {
    const auto page = read<std::vector<Device>>([&](const Reader& in) { return in.devices.list({}, after, 4); });
    ASSERT_OK(page);
    if (page->empty()) break;
    devices += page->size();
    after = page->back().no;
  }
  EXPECT_EQ(devices, 10U);
  EXPECT_EQ(pages, 3U);
  EXPECT_EQ(*read<std::int64_t>([](const Reader& in) { return in.devices.count({}, 7); }), 7);
}

TEST_P(StoreSuite, TheKthBucketIsThatOfTheRule) {
  std::vector<std::uint64_t> buckets;
  for (int i = 0; i < 20; ++i) {
    Device one = device(i);
    if (i % 2 == 0) one.view.tags = {"in"};
    enrol(one);
    if (i % 2 == 0) buckets.push_back(rollout::bucket("salt", one.view.id));
  }
  std::sort(buckets.begin(), buckets.end());
  const fleet::Group group = parse("tag:in");
  for (const std::int64_t k : {1, 5, 10}) {
    const auto found = read<std::optional<std::uint64_t>>(
        [&](const Reader& in) { return in.devices.bucket_of(group, "kiosk-x64", "salt", k); });
    ASSERT_OK(found);
    EXPECT_EQ(*found, buckets[static_cast<std::size_t>(k - 1)]) << k;
    const auto below = read<std::int64_t>(
        [&](const Reader& in) { return in.devices.count_below(group, "kiosk-x64", "salt", **found + 1); });
    EXPECT_EQ(*below, k);
  }
  EXPECT_FALSE(*read<std::optional<std::uint64_t>>(
      [&](const Reader& in) { return in.devices.bucket_of(group, "kiosk-x64", "salt", 11); }));
  EXPECT_EQ(*read<std::int64_t>([&](const Reader& in) { return in.devices.count_sample(group, "kiosk-x64", 1000); }), 10);
}

TEST_P(StoreSuite, AFixedListCountsItsMembersOnly) {
  const Device in_list = enrol(device(1));
  enrol(device(2));
  GroupRow row;
  row.name = "pair";
  row.devices = {in_list.view.id};
  ASSERT_OK(write([&](Writer& writer) { return writer.groups.insert(row); }));
  const fleet::Group group = std::move(*fleet::Group::from_list("pair", row.devices));
  DeviceFilter filter;
  filter.group = &group;
  EXPECT_EQ(*read<std::int64_t>([&](const Reader& in) { return in.devices.count(filter, 100); }), 1);
}

TEST_P(StoreSuite, TagsAreAddedTakenAwayAndBounded) {
  const Device one = enrol(device(1));
  const std::vector<std::string> add = {"a", "b"}, remove = {"a"};
  ASSERT_OK(write([&](Writer& writer) { return writer.devices.change_tags(one.no, add, {}); }));
  ASSERT_OK(write([&](Writer& writer) { return writer.devices.change_tags(one.no, {}, remove); }));
  EXPECT_EQ((*read<std::optional<Device>>([&](const Reader& in) { return in.devices.find(one.no); }))->view.tags,
            std::vector<std::string>{"b"});
  std::vector<std::string> many;
  for (std::size_t i = 0; i < kMaxTags; ++i) many.push_back("t" + std::to_string(i));
  EXPECT_CODE(write([&](Writer& writer) { return writer.devices.change_tags(one.no, many, {}); }), Code::too_large);
}

TEST_P(StoreSuite, EventsAreKeptUpToTheirBoundTheNewestFirst) {
  const Device one = enrol(device(1));
  const std::uint64_t total = kEventsKept + 50;
  ASSERT_OK(write([&](Writer& writer) -> Status {
    for (std::uint64_t seq = 1; seq <= total; ++seq) {
      wire::Event event;
      event.seq = seq;
      event.deployment = "dep-1";
      TRY(writer.devices.add_event(one.no, event, clock_.wall()));
    }
    return {};
  }));
  const auto events = read<std::vector<StoredEvent>>([&](const Reader& in) { return in.devices.events(one.no, 10'000); });
  ASSERT_OK(events);
  EXPECT_EQ(events->size(), static_cast<std::size_t>(kEventsKept));
  EXPECT_EQ(events->front().event.seq, total);
}

TEST_P(StoreSuite, AnAssignmentReplacesTheOneBefore) {
  const Device one = enrol(device(1));
  for (const std::int64_t version : {1, 2}) {
    StoredAssignment assignment;
    assignment.version = version;
    assignment.expires = clock_.wall();
    assignment.content = "c";
    assignment.document = "d" + std::to_string(version);
    ASSERT_OK(write([&](Writer& writer) { return writer.devices.put_assignment(one.no, assignment); }));
  }
  const auto stored =
      read<std::optional<StoredAssignment>>([&](const Reader& in) { return in.devices.assignment(one.no); });
  ASSERT_OK(stored);
  EXPECT_EQ((*stored)->version, 2);
  EXPECT_EQ((*stored)->document, "d2");
}

TEST_P(StoreSuite, TheReleasesThatAFleetRunsAreCountedByModelTheMostRunFirst) {
  for (int n = 1; n <= 6; ++n) {
    const Device one = enrol(device(n));
    wire::Installed digits, other;
    digits.model = "digits";
    digits.release = n <= 3 ? "2.0.0" : n <= 5 ? "1.0.0" : "0.9.0";
    other.model = "other";
    other.release = "7";
    const std::vector<wire::Installed> all = {digits, other};
    ASSERT_OK(write([&](Writer& writer) { return writer.devices.replace_installed(one.no, all); }));
  }
  const auto runs = [this](std::string_view model, std::size_t limit) {
    std::string text;
    const auto all =
        read<std::vector<ReleaseCount>>([&](const Reader& in) { return in.devices.releases_run(model, limit); });
    for (const ReleaseCount& one : *all) text += one.release + "=" + std::to_string(one.devices) + " ";
    return text;
  };
  EXPECT_EQ(runs("digits", 10), "2.0.0=3 1.0.0=2 0.9.0=1 ");
  EXPECT_EQ(runs("digits", 2), "2.0.0=3 1.0.0=2 ");
  EXPECT_EQ(runs("other", 10), "7=6 ");
  EXPECT_EQ(runs("unknown", 10), "");
}

}  // namespace
}  // namespace drover::store
