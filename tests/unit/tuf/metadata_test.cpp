#include "common/tuf/metadata.h"

#include <gtest/gtest.h>

#include "common/tuf/author.h"
#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

using Json = nlohmann::json;

Json file(Json signed_part, Json signatures = Json::array()) {
  return {{"signed", std::move(signed_part)}, {"signatures", std::move(signatures)}};
}
Json targets_part() { return make_targets(kStart).signed_part(); }

Code envelope_error(std::string_view text) {
  const auto envelope = parse_envelope(as_bytes(text), 10'000);
  return envelope ? Code::ok : envelope.error().code();
}

template <class Parse>
Code part_error(Parse parse, const Json& signed_part) {
  const std::string text = file(signed_part).dump();
  const auto envelope = parse_envelope(as_bytes(text), kMaxTargetsBytes);
  if (!envelope) return envelope.error().code();
  const auto parsed = parse(*envelope);
  return parsed ? Code::ok : parsed.error().code();
}
Code targets_error(const Json& part) { return part_error(parse_targets, part); }

TEST(Envelope, IsRefusedWhenItIsNotTheJsonOfOne) {
  const std::string good = file(targets_part()).dump();
  ASSERT_EQ(envelope_error(good), Code::ok);
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), std::string("\"text\""), std::string("{}"),
        std::string(R"({"signed":{}})"), std::string(R"({"signatures":[]})"),
        std::string(R"({"signed":[],"signatures":[]})"), std::string(R"({"signed":{},"signatures":[]})"),
        std::string(R"({"signed":{"_type":1},"signatures":[]})"),
        std::string(R"({"signed":{"_type":"root"},"signatures":{}})"),
        std::string(R"({"signed":{"_type":"root"},"signatures":[1]})"),
        std::string(R"({"signed":{"_type":"root"},"signatures":[{}]})"),
        std::string(R"({"signed":{"_type":"root"},"signatures":[{"keyid":"a","sig":7}]})")})
    EXPECT_EQ(envelope_error(text), Code::malformed) << text;
}

TEST(Envelope, IsRefusedWhenCutAnywhere) {
  const std::string good = file(targets_part()).dump();
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_EQ(envelope_error(std::string_view(good).substr(0, length)), Code::malformed) << length;
}

TEST(Envelope, IsRefusedWithAnythingBehindTheDocument) {
  const std::string good = file(targets_part()).dump();
  EXPECT_EQ(envelope_error(good + "{}"), Code::malformed);
  EXPECT_EQ(envelope_error(good + std::string(1, '\0')), Code::malformed);
  EXPECT_EQ(envelope_error(good + std::string("\0garbage", 8)), Code::malformed);
  EXPECT_EQ(envelope_error(good + "\n"), Code::ok);
}

TEST(Envelope, IsRefusedWithDuplicateFieldsInvalidUtf8OrDeepNesting) {
  EXPECT_EQ(envelope_error(R"({"signed":{"_type":"a","_type":"b"},"signatures":[]})"), Code::malformed);
  EXPECT_EQ(envelope_error("{\"signed\":{\"_type\":\"\xff\"},\"signatures\":[]}"), Code::malformed);
  EXPECT_EQ(envelope_error(R"({"signed":{"_type":"a","x":)" + std::string(200, '[') + std::string(200, ']') +
                           R"(},"signatures":[]})"),
            Code::malformed);
}

TEST(Envelope, IsRefusedOverItsLimit) {
  EXPECT_EQ(envelope_error(R"({"signed":{"_type":"a"},"signatures":[]})" + std::string(10'000, ' ')), Code::too_large);
}

TEST(Envelope, IsRefusedWithAFractionInWhatIsSigned) {
  EXPECT_EQ(envelope_error(R"({"signed":{"_type":"a","x":1.5},"signatures":[]})"), Code::unsupported);
}

TEST(Envelope, IsRefusedWhenAKeySignsTwice) {
  EXPECT_EQ(
      envelope_error(R"({"signed":{"_type":"a"},"signatures":[{"keyid":"k","sig":"00"},{"keyid":"k","sig":"01"}]})"),
      Code::bad_signature);
}

TEST(Envelope, TakesEmptyAndUnreadableSignaturesAsInvalidOnes) {
  const auto envelope = parse_envelope(
      as_bytes(
          R"({"signed":{"_type":"a"},"signatures":[{"keyid":"1","sig":""},{"keyid":"2","sig":"xyz"},{"keyid":"3","sig":"0A"}]})"),
      1000);
  ASSERT_TRUE(envelope);
  EXPECT_TRUE(envelope->signatures[0].signature.empty());
  EXPECT_TRUE(envelope->signatures[1].signature.empty());
  EXPECT_EQ(envelope->signatures[2].signature, Bytes{10});
}

TEST(Envelope, KeepsUnknownFieldsInWhatIsVerified) {
  const auto envelope =
      parse_envelope(as_bytes(R"({"signed":{"x-new":[1],"_type":"a"},"signatures":[],"more":1})"), 1000);
  ASSERT_TRUE(envelope);
  EXPECT_EQ(envelope->canonical, R"({"_type":"a","x-new":[1]})");
}

TEST(Metadata, OfAnotherTypeIsRefused) {
  EXPECT_EQ(part_error(parse_timestamp, targets_part()), Code::metadata_mismatch);
  EXPECT_EQ(part_error(parse_root, targets_part()), Code::metadata_mismatch);
  EXPECT_EQ(part_error(parse_snapshot, targets_part()), Code::metadata_mismatch);
}

TEST(Metadata, OfTheFirstMajorVersionIsReadInBothForms) {
  Json part = targets_part();
  for (const char* version : {"1.0", "1.0.34", "1.1.0"}) {
    part["spec_version"] = version;
    EXPECT_EQ(targets_error(part), Code::ok) << version;
  }
  for (const char* version : {"2.0.0", "0.9", "10.0", "", "x"}) {
    part["spec_version"] = version;
    EXPECT_EQ(targets_error(part), Code::unsupported) << version;
  }
}

TEST(Metadata, NeedsAVersionOfAtLeastOne) {
  Json part = targets_part();
  for (const Json& version :
       {Json(0), Json(-1), Json("1"), Json(nullptr), Json(std::uint64_t(1) << 63), Json::array()}) {
    part["version"] = version;
    EXPECT_EQ(targets_error(part), Code::malformed) << version;
  }
}

TEST(Metadata, NeedsAnExpiryInTheOneForm) {
  Json part = targets_part();
  for (const char* expires :
       {"", "2031-01-01", "2031-01-01T00:00:00", "2031-01-01T00:00:00+00:00", "2031-01-01T00:00:00.0Z",
        "2031-13-01T00:00:00Z", "2031-02-30T00:00:00Z", "2031-01-01T24:00:00Z"}) {
    part["expires"] = expires;
    EXPECT_EQ(targets_error(part), Code::malformed) << expires;
  }
}

TEST(RootMetadata, NeedsAllFourRolesWithAThresholdOfAtLeastOne) {
  Repository repository;
  const Json good = repository.root.signed_part();
  ASSERT_EQ(part_error(parse_root, good), Code::ok);
  for (const char* role : {"root", "targets", "snapshot", "timestamp"}) {
    Json part = good;
    part["roles"].erase(role);
    EXPECT_EQ(part_error(parse_root, part), Code::malformed) << role;
    for (const Json& threshold : {Json(0), Json(-1), Json("1"), Json(nullptr), Json(true)}) {
      part = good;
      part["roles"][role]["threshold"] = threshold;
      EXPECT_EQ(part_error(parse_root, part), Code::malformed) << role << threshold;
    }
  }
}

TEST(RootMetadata, RefusesARoleThatNamesAKeyTwice) {
  Repository repository;
  Json part = repository.root.signed_part();
  Json& keyids = part["roles"]["root"]["keyids"];
  keyids.push_back(keyids[0]);
  EXPECT_EQ(part_error(parse_root, part), Code::malformed);
}

TEST(RootMetadata, RefusesAKeyUnderAnIdThatIsNotItsOwn) {
  Repository repository;
  Json part = repository.root.signed_part();
  const std::string first = part["keys"].begin().key();
  part["keys"][first]["x-owner"] = "mallory";
  EXPECT_EQ(part_error(parse_root, part), Code::unknown_key);
}

TEST(KeyObject, HasTheIdOfItsCanonicalFormUnknownFieldsIncluded) {
  Repository repository;
  Json object = make_key(repository.key("a").public_key()).object;
  const std::string plain = *key_id(object);
  object["x-owner"] = "someone";
  const std::string with_owner = *key_id(object);
  EXPECT_NE(plain, with_owner);
  EXPECT_TRUE(parse_key(with_owner, object));
  EXPECT_EQ(parse_key(plain, object).error().code(), Code::unknown_key);
}

TEST(KeyObject, OfAWrongShapeIsRefusedAndNotACrash) {
  for (const char* text :
       {"null", "[]", "{}", R"({"keytype":"ed25519","scheme":"ed25519"})",
        R"({"keytype":1,"scheme":"x","keyval":{"public":"a"}})", R"({"keytype":"a","scheme":"x","keyval":[]})",
        R"({"keytype":"a","scheme":"x","keyval":{"public":3}})"}) {
    const Json object = Json::parse(text);
    EXPECT_EQ(parse_key(*key_id(object), object).error().code(), Code::malformed) << text;
  }
}

TEST(TargetsMetadata, OfAWrongShapeIsRefusedAndNotACrash) {
  const Json good_target = {{"length", 1}, {"hashes", {{"sha256", "00"}}}};
  for (const char* pointer :
       {"/targets", "/targets/a", "/targets/a/length", "/targets/a/hashes", "/targets/a/hashes/sha256", "/delegations",
        "/delegations/keys", "/delegations/roles", "/delegations/roles/0", "/delegations/roles/0/name",
        "/delegations/roles/0/keyids", "/delegations/roles/0/threshold", "/delegations/roles/0/paths",
        "/delegations/roles/0/terminating"})
    for (const Json& wrong :
         {Json(nullptr), Json(-1), Json("x"), Json::array({Json::array()}), Json({{"x", Json::array()}})}) {
      Repository repository;
      repository.delegate("targets", "m", {"m/*"});
      Json part = repository.targets.signed_part();
      part["targets"]["a"] = good_target;
      ASSERT_EQ(targets_error(part), Code::ok);
      Json& place = part[Json::json_pointer(pointer)];
      if (place.type() == wrong.type() && (wrong.is_string() || pointer == std::string("/targets"))) continue;
      place = wrong;
      EXPECT_NE(targets_error(part), Code::ok) << pointer << " = " << wrong;
    }
}

TEST(SnapshotMetadata, ListsFilesOfAVersionAndWithHashesThatSaySomething) {
  Json part = make_snapshot(1, kStart + 24h, {{"targets.json", {1, 10, {{"sha256", "00"}}}}}).signed_part();
  ASSERT_EQ(part_error(parse_snapshot, part), Code::ok);
  Json& file = part["meta"]["targets.json"];
  file["version"] = 0;
  EXPECT_EQ(part_error(parse_snapshot, part), Code::malformed);
  file["version"] = 1;
  file["hashes"] = Json::object();
  EXPECT_EQ(part_error(parse_snapshot, part), Code::malformed);
  file.erase("hashes");
  EXPECT_EQ(part_error(parse_snapshot, part), Code::ok);
}

TEST(TimestampMetadata, ListsASnapshot) {
  Json part = make_timestamp(1, kStart + 24h, kStart, {1, {}, {}}).signed_part();
  ASSERT_EQ(part_error(parse_timestamp, part), Code::ok);
  part["meta"] = Json::object();
  EXPECT_EQ(part_error(parse_timestamp, part), Code::malformed);
}

TEST(TargetsMetadata, RefusesRolesThatTakeATopLevelNameOrStandTwice) {
  Repository repository;
  repository.delegate("targets", "m", {"m/*"});
  Json part = repository.targets.signed_part();
  for (const char* name : {"root", "targets", "snapshot", "timestamp", ""}) {
    Json wrong = part;
    wrong["delegations"]["roles"][0]["name"] = name;
    EXPECT_EQ(targets_error(wrong), Code::malformed) << name;
  }
  part["delegations"]["roles"].push_back(part["delegations"]["roles"][0]);
  EXPECT_EQ(targets_error(part), Code::malformed);
}

TEST(TargetsMetadata, RefusesADelegationByPathAndHashOrByNeither) {
  Repository repository;
  repository.delegate("targets", "m", {"m/*"});
  Json part = repository.targets.signed_part();
  part["delegations"]["roles"][0]["path_hash_prefixes"] = {"ab"};
  EXPECT_EQ(targets_error(part), Code::malformed);
  part["delegations"]["roles"][0].erase("paths");
  EXPECT_EQ(targets_error(part), Code::ok);
  part["delegations"]["roles"][0].erase("path_hash_prefixes");
  EXPECT_EQ(targets_error(part), Code::malformed);
}

TEST(TargetsMetadata, DelegatesToHashBinsOrToNamedRolesAndNotToBoth) {
  Json part = targets_part();
  const Json bins = {{"keyids", {"k"}}, {"threshold", 1}, {"bit_length", 4}, {"name_prefix", "bin"}};
  part["delegations"] = {{"keys", Json::object()}, {"succinct_roles", bins}};
  EXPECT_EQ(targets_error(part), Code::ok);
  part["delegations"]["roles"] = Json::array();
  EXPECT_EQ(targets_error(part), Code::malformed);
  part["delegations"] = {{"keys", Json::object()}};
  EXPECT_EQ(targets_error(part), Code::malformed);
}

TEST(TargetsMetadata, RefusesHashBinsOfAWrongShape) {
  const Json good = {{"keyids", {"k"}}, {"threshold", 1}, {"bit_length", 4}, {"name_prefix", "bin"}};
  const std::vector<std::pair<const char*, Json>> wrong = {{"bit_length", 0}, {"bit_length", 33}, {"bit_length", "4"},
                                                           {"threshold", 0},  {"name_prefix", 7}, {"keyids", "k"}};
  for (const auto& [field, value] : wrong) {
    Json part = targets_part();
    part["delegations"] = {{"keys", Json::object()}, {"succinct_roles", good}};
    part["delegations"]["succinct_roles"][field] = value;
    EXPECT_EQ(targets_error(part), Code::malformed) << field << value;
  }
}

TEST(HashBins, TakeAPathByTheFirstBitsOfItsHash) {
  // SHA-256 of "abc" begins with ba7816bf.
  HashBins bins{.keys = {}, .bits = 1, .prefix = "b"};
  EXPECT_EQ(bins.bin_of("abc"), "b-1");
  bins.bits = 4;
  EXPECT_EQ(bins.bin_of("abc"), "b-b");
  bins.bits = 5;  // 10111 and two digits, since the last bin is 1f
  EXPECT_EQ(bins.bin_of("abc"), "b-17");
  bins.bits = 32;
  EXPECT_EQ(bins.bin_of("abc"), "b-ba7816bf");
}

TEST(HashBins, HaveTheNamesOfTheirNumbersAndNoOthers) {
  const HashBins bins{.keys = {}, .bits = 5, .prefix = "b"};
  for (const char* name : {"b-00", "b-0a", "b-1f"}) EXPECT_TRUE(bins.has(name)) << name;
  for (const char* name : {"b-20", "b-0", "b-000", "b-0A", "b-+1", "b_00", "c-00", "b-", "b", "", "bb-00", "b-0g"})
    EXPECT_FALSE(bins.has(name)) << name;
}

TEST(PathPattern, NeverCrossesASlash) {
  EXPECT_TRUE(matches_pattern("mnist/*", "mnist/1.0.0"));
  EXPECT_FALSE(matches_pattern("mnist/*", "mnist/1.0.0/more"));
  EXPECT_FALSE(matches_pattern("*", "mnist/1.0.0"));
  EXPECT_FALSE(matches_pattern("mnist?1", "mnist/1"));
  EXPECT_TRUE(matches_pattern("*/*", "a/b"));
  EXPECT_FALSE(matches_pattern("*/*", "a/b/c"));
}

TEST(PathPattern, MatchesTheWholePathAndTheCase) {
  EXPECT_TRUE(matches_pattern("foo-?.tgz", "foo-1.tgz"));
  EXPECT_FALSE(matches_pattern("foo-?.tgz", "foo-alpha.tgz"));
  EXPECT_FALSE(matches_pattern("foo-?.tgz", "foo-.tgz"));
  EXPECT_FALSE(matches_pattern("*.md", "README.MD"));
  EXPECT_FALSE(matches_pattern("mnist", "mnist/1"));
  EXPECT_FALSE(matches_pattern("mnist/1", "mnist"));
  EXPECT_TRUE(matches_pattern("", ""));
  EXPECT_FALSE(matches_pattern("", "a"));
  EXPECT_TRUE(matches_pattern("a*b*c", "a-b-b-c"));
  EXPECT_TRUE(matches_pattern("**", "abc"));
  EXPECT_FALSE(matches_pattern("a*b", "a-b-c"));
}

TEST(PathPattern, KnowsNoOtherSpecialCharacters) {
  EXPECT_FALSE(matches_pattern("[ab]", "a"));
  EXPECT_TRUE(matches_pattern("[ab]", "[ab]"));
  EXPECT_FALSE(matches_pattern("\\*", "*"));
}

TEST(PathPattern, DoesNotExplode) {
  // Recursion would take 2^50 steps here.
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  EXPECT_FALSE(matches_pattern(pattern, std::string(1000, 'a') + "b"));
}

TEST(HashPrefix, CoversThePathsWhoseHashBeginsWithIt) {
  Delegation delegation;
  delegation.path_hash_prefixes = {crypto::sha256(std::string_view("mnist/1")).hex().substr(0, 4)};
  EXPECT_TRUE(delegation.covers("mnist/1"));
  EXPECT_FALSE(delegation.covers("mnist/2"));
}

TEST(ModelName, IsNeverThatOfAFixedRole) {
  EXPECT_TRUE(is_model_name("mnist"));
  EXPECT_TRUE(is_model_name("a.b_c-1"));
  for (const char* name :
       {"", "root", "targets", "snapshot", "timestamp", "director", "Mnist", "-a", ".a", "a/b", "a b", "..", "a%2f"})
    EXPECT_FALSE(is_model_name(name)) << name;
  EXPECT_FALSE(is_model_name(std::string(65, 'a')));
}

TEST(ReleaseName, IsAModelAndAVersion) {
  const auto name = parse_release_name("mnist/1.2.0-rc.1+b5");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->model, "mnist");
  EXPECT_EQ(name->version, "1.2.0-rc.1+b5");
  EXPECT_EQ(name->path(), "mnist/1.2.0-rc.1+b5");
  for (const char* wrong :
       {"", "/", "mnist", "mnist/", "/1", "mnist/1/2", "../1", "mnist/..", "director/1", "mnist/1 "})
    EXPECT_FALSE(parse_release_name(wrong)) << wrong;
}

}  // namespace
}  // namespace drover::tuf::testing
