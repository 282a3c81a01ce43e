// What the director and the release managers must agree on.
#include "common/tuf/assignment.h"

#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

class AssignmentTest : public TufTest {
 protected:
  AssignmentTest() {
    EXPECT_TRUE(
        set_delegation(repository.targets, director_delegation(Repository::public_key(repository.key("director")))));
    repository.publish();
    EXPECT_EQ(client.refresh(), Code::ok) << client.message;
    assignment.version = 5;
    assignment.issued = kStart;
    assignment.expires = kStart + 1h;
    assignment.device_id = device;
    assignment.nonce = "n-1";
    assignment.targets["mnist/2"] = assigned;
  }
  Bytes signed_by(const std::string& signer) {
    Document document = make_assignment(assignment);
    Repository::sign(document, {&repository.key(signer)});
    return bytes_of(document.encode());
  }
  Result<Assignment> verify(const Bytes& bytes) { return verify_assignment(*client.trusted().targets(), bytes, rules); }
  Code verify_error(const Bytes& bytes) {
    const auto verified = verify(bytes);
    return verified ? Code::ok : verified.error().code();
  }
  std::string device = crypto::device_id(repository.key("device").public_key());
  AssignedTarget assigned{.length = 7,
                          .hashes = {{"sha256", crypto::sha256(std::string_view("content")).hex()}},
                          .kind = "kiosk-x64",
                          .variant = crypto::sha256(std::string_view("manifest")),
                          .release_counter = 3,
                          .deployment = "dep-1",
                          .rollback = false};
  Assignment assignment;
  AssignmentRules rules{.device_id = device, .last_version = 5, .nonce = {}, .now = kStart};
};

TEST_F(AssignmentTest, IsReadAsItWasWritten) {
  const auto verified = verify(signed_by("director"));
  ASSERT_TRUE(verified) << verified.error().message();
  EXPECT_EQ(verified->version, 5);
  EXPECT_EQ(verified->issued, kStart);
  EXPECT_EQ(verified->expires, kStart + 1h);
  EXPECT_EQ(verified->nonce, "n-1");
  ASSERT_TRUE(verified->targets.contains("mnist/2"));
  const AssignedTarget& target = verified->targets.at("mnist/2");
  EXPECT_EQ(target.length, assigned.length);
  EXPECT_EQ(target.hashes, assigned.hashes);
  EXPECT_EQ(target.kind, "kiosk-x64");
  EXPECT_EQ(target.variant, assigned.variant);
  EXPECT_EQ(target.release_counter, 3);
  EXPECT_EQ(target.deployment, "dep-1");
  EXPECT_FALSE(target.rollback);
}

TEST_F(AssignmentTest, IsRefusedWhenAnotherKeySignedIt) {
  for (const char* signer : {"targets", "timestamp", "snapshot", "root", "stranger"})
    EXPECT_EQ(verify_error(signed_by(signer)), Code::threshold_not_met) << signer;
}

TEST_F(AssignmentTest, IsRefusedWithoutADirector) {
  ASSERT_TRUE(remove_delegation(repository.targets, "director"));
  repository.publish();
  ASSERT_EQ(client.refresh(), Code::ok);
  EXPECT_EQ(verify_error(signed_by("director")), Code::unknown_key);
}

TEST_F(AssignmentTest, BeyondAllNumbersIsRefusedSinceNoneCouldFollow) {
  assignment.version = kMaxAssignmentVersion;
  EXPECT_EQ(verify_error(signed_by("director")), Code::ok);
  ++assignment.version;
  EXPECT_EQ(verify_error(signed_by("director")), Code::malformed);
}

TEST_F(AssignmentTest, OfAnotherDeviceIsRefused) {
  assignment.device_id = crypto::device_id(repository.key("other").public_key());
  EXPECT_EQ(verify_error(signed_by("director")), Code::wrong_device);
}

TEST_F(AssignmentTest, ThatNamesNoDeviceIsRefused) {
  for (const char* id : {"", "*", "d123"}) {
    assignment.device_id = id;
    EXPECT_EQ(verify_error(signed_by("director")), Code::malformed) << id;
  }
}

TEST_F(AssignmentTest, OfALowerVersionIsRefusedAndTheSameIsNot) {
  assignment.version = 4;
  EXPECT_EQ(verify_error(signed_by("director")), Code::metadata_rollback);
  assignment.version = 5;
  EXPECT_EQ(verify_error(signed_by("director")), Code::ok);
  assignment.version = 6;
  EXPECT_EQ(verify_error(signed_by("director")), Code::ok);
}

TEST_F(AssignmentTest, IsRefusedFromTheSecondOfItsExpiry) {
  rules.now = kStart + 1h - 1s;
  EXPECT_EQ(verify_error(signed_by("director")), Code::ok);
  rules.now = kStart + 1h;
  EXPECT_EQ(verify_error(signed_by("director")), Code::metadata_expired);
}

TEST_F(AssignmentTest, MustEchoTheNonceWhereOneWasSent) {
  rules.nonce = "n-1";
  EXPECT_EQ(verify_error(signed_by("director")), Code::ok);
  rules.nonce = "n-2";
  EXPECT_EQ(verify_error(signed_by("director")), Code::metadata_mismatch);
}

TEST_F(AssignmentTest, ChangedAfterSigningIsRefused) {
  std::string text(as_text(signed_by("director")));
  text.replace(text.find("kiosk-x64"), 9, "kiosk-x65");
  EXPECT_EQ(verify_error(bytes_of(text)), Code::threshold_not_met);
}

TEST_F(AssignmentTest, OfAnotherTypeIsRefused) {
  Document other = make_targets(kStart + 1h);
  Repository::sign(other, {&repository.key("director")});
  EXPECT_EQ(verify_error(bytes_of(other.encode())), Code::metadata_mismatch);
}

TEST_F(AssignmentTest, WithTwoReleasesOfOneModelIsRefused) {
  assignment.targets["mnist/1"] = assigned;
  EXPECT_EQ(verify_error(signed_by("director")), Code::malformed);
  assignment.targets.erase("mnist/1");
  assignment.targets["cats/1"] = assigned;
  EXPECT_EQ(verify_error(signed_by("director")), Code::ok);
}

TEST_F(AssignmentTest, WithATargetThatIsNoReleaseIsRefused) {
  for (const char* path : {"director/x", "mnist", "../../etc", "mnist/1/2"}) {
    assignment.targets.clear();
    assignment.targets[path] = assigned;
    EXPECT_EQ(verify_error(signed_by("director")), Code::malformed) << path;
  }
}

TEST_F(AssignmentTest, WithAMissingOrWrongFieldIsRefused) {
  const nlohmann::json good = make_assignment(assignment).signed_part();
  for (const char* pointer :
       {"/issued", "/expires", "/version", "/targets", "/targets/mnist~12/length", "/targets/mnist~12/hashes",
        "/targets/mnist~12/custom", "/targets/mnist~12/custom/kind", "/targets/mnist~12/custom/variant",
        "/targets/mnist~12/custom/release_counter", "/targets/mnist~12/custom/deployment"})
    for (const nlohmann::json& wrong : {nlohmann::json(nullptr), nlohmann::json::array(), nlohmann::json(true)}) {
      nlohmann::json part = good;
      part[nlohmann::json::json_pointer(pointer)] = wrong;
      Document document(part);
      Repository::sign(document, {&repository.key("director")});
      EXPECT_EQ(verify_error(bytes_of(document.encode())), Code::malformed) << pointer << " = " << wrong;
    }
}

TEST_F(AssignmentTest, WithAnythingButADigestForTheReleasesBytesIsRefused) {
  for (const char* hash : {"", "../../etc/passwd", "ABCDEF", "00"}) {
    assignment.targets.at("mnist/2").hashes["sha256"] = hash;
    EXPECT_EQ(verify_error(signed_by("director")), Code::malformed) << hash;
  }
  assignment.targets.at("mnist/2").hashes = {{"sha512", std::string(128, '0')}};
  EXPECT_EQ(verify_error(signed_by("director")), Code::malformed);
}

TEST_F(AssignmentTest, OverItsBoundIsRefused) {
  Bytes bytes = signed_by("director");
  bytes.resize(kMaxAssignmentBytes + 1, ' ');
  EXPECT_EQ(verify_error(bytes), Code::too_large);
}

TEST_F(AssignmentTest, CutAnywhereIsRefused) {
  const Bytes bytes = signed_by("director");
  for (std::size_t length = 0; length < bytes.size(); length += 7)
    EXPECT_EQ(verify_error(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length))), Code::malformed);
}

class Agreement : public AssignmentTest {
 protected:
  Code check(const Target* target) {
    const Status status = check_agreement(assigned, target, agreement);
    return status ? Code::ok : status.error().code();
  }
  Target listed{.length = 7, .hashes = assigned.hashes, .custom = release_custom_json({3, {"kiosk-arm", "kiosk-x64"}})};
  AgreementRules agreement{.kind = "kiosk-x64", .counter_floor = 3};
};

TEST_F(Agreement, IsThereWhenBothNameTheSameReleaseForThisKind) { EXPECT_EQ(check(&listed), Code::ok); }

TEST_F(Agreement, FailsForWhatReleaseManagersDoNotList) { EXPECT_EQ(check(nullptr), Code::target_not_listed); }

TEST_F(Agreement, FailsForAnotherKindOfDevice) {
  agreement.kind = "kiosk-arm";  // the release fits it, the assignment does not
  EXPECT_EQ(check(&listed), Code::wrong_kind);
}

TEST_F(Agreement, FailsForAKindThatReleaseManagersDidNotName) {
  listed.custom = release_custom_json({3, {"kiosk-arm"}});
  EXPECT_EQ(check(&listed), Code::target_mismatch);
}

TEST_F(Agreement, FailsForAnotherLength) {
  listed.length = 8;
  EXPECT_EQ(check(&listed), Code::target_mismatch);
}

TEST_F(Agreement, FailsForAnyHashThatDiffersOrIsNotOnBothSides) {
  listed.hashes["sha256"][0] ^= 1;
  EXPECT_EQ(check(&listed), Code::target_mismatch);
  listed.hashes = assigned.hashes;
  listed.hashes["sha512"] = std::string(128, '0');
  EXPECT_EQ(check(&listed), Code::target_mismatch);
}

TEST_F(Agreement, FailsForAnotherReleaseCounter) {
  assigned.release_counter = 4;  // a director that wants to lift the floor
  EXPECT_EQ(check(&listed), Code::target_mismatch);
}

TEST_F(Agreement, FailsBelowTheFloorAndHoldsOnIt) {
  agreement.counter_floor = 4;
  EXPECT_EQ(check(&listed), Code::counter_below_floor);
  agreement.counter_floor = 3;
  EXPECT_EQ(check(&listed), Code::ok);
}

TEST(ReleaseCustomData, NamesAtLeastOneKindOfDevice) {
  EXPECT_TRUE(parse_release_custom(release_custom_json({.release_counter = 3, .kinds = {"kiosk"}})));
  const auto none = parse_release_custom(release_custom_json({.release_counter = 3, .kinds = {}}));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Code::malformed);
}

TEST_F(Agreement, FailsWithoutReadableCustomData) {
  for (const char* text :
       {"null", "{}", R"({"release_counter":3})", R"({"release_counter":3,"kinds":[]})",
        R"({"release_counter":"3","kinds":["kiosk-x64"]})", R"({"release_counter":-3,"kinds":["kiosk-x64"]})",
        R"({"release_counter":3,"kinds":"kiosk-x64"})"}) {
    listed.custom = nlohmann::json::parse(text);
    EXPECT_EQ(check(&listed), Code::target_mismatch) << text;
  }
}

}  // namespace
}  // namespace drover::tuf::testing
