#include "server/api/peer.h"

#include <gtest/gtest.h>

#include "tests/support/expect.h"

namespace drover::api {
namespace {

constexpr const char* kDevice = "d00112233445566778899aabbccddeeff";
constexpr const char* kOther = "dffeeddccbbaa99887766554433221100";

TEST(Peer, IsTheConnectionItselfWhereNoProxyIsTrusted) {
  net::Request request;
  request.remote = "10.0.0.1";
  request.certified = true;
  request.client_name = kDevice;
  const Peer peer = peer_of(request, {{"10.0.0.2"}, true});
  EXPECT_EQ(peer.address, "10.0.0.1");
  EXPECT_TRUE(peer.certified);
  EXPECT_EQ(peer.name, kDevice);
}

TEST(Peer, BehindAProxyThatTellsNothingIsTheProxy) {
  net::Request request;
  request.remote = "10.0.0.2";
  request.certified = true;  // the proxy's own certificate says nothing about the client
  const Peer peer = peer_of(request, {{"10.0.0.2"}, true});
  EXPECT_EQ(peer.address, "10.0.0.2");
  EXPECT_FALSE(peer.certified);
}

TEST(Peer, NeedsACertificateOnlyWhereOneIsRequired) {
  EXPECT_OK(check_certificate({"a", false, ""}, kDevice, false));
  EXPECT_CODE(check_certificate({"a", false, ""}, kDevice, true), Code::unauthenticated);
  EXPECT_OK(check_certificate({"a", true, "a line of devices"}, kDevice, true));
}

TEST(Peer, WhoseCertificateNamesADeviceIsThatDevice) {
  EXPECT_OK(check_certificate({"a", true, kDevice}, kDevice, true));
  EXPECT_CODE(check_certificate({"a", true, kOther}, kDevice, true), Code::unauthenticated);
  EXPECT_CODE(check_certificate({"a", true, kOther}, kDevice, false), Code::unauthenticated);
}

TEST(AddressKey, OfIpv6IsItsNetworkAndOfAnythingElseItself) {
  EXPECT_EQ(address_key("2001:db8:1:2:3:4:5:6"), address_key("2001:db8:1:2::9"));
  EXPECT_NE(address_key("2001:db8:1:2::9"), address_key("2001:db8:1:3::9"));
  EXPECT_EQ(address_key("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(address_key("unknown"), "unknown");
}

}  // namespace
}  // namespace drover::api
