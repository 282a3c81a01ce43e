#include "server/api/peer.h"

#include <arpa/inet.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "common/crypto/ed25519.h"

namespace drover::api {
namespace {

bool is_proxy(std::string_view address, const ProxyTrust& trust) {
  return std::find(trust.addresses.begin(), trust.addresses.end(), address) != trust.addresses.end();
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// From the right: each proxy has appended the address that it saw.
std::string_view forwarded_for(std::string_view list, std::string_view proxy, const ProxyTrust& trust) {
  while (!list.empty()) {
    const std::size_t comma = list.rfind(',');
    const std::string_view one = trimmed(comma == std::string_view::npos ? list : list.substr(comma + 1));
    if (!one.empty() && !is_proxy(one, trust)) return one;
    list = comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
  }
  return proxy;
}

}  // namespace

Peer peer_of(const net::Request& request, const ProxyTrust& trust) {
  Peer peer{request.remote, request.certified, request.client_name};
  if (trust.addresses.empty() || !is_proxy(request.remote, trust)) return peer;
  peer.address = forwarded_for(request.header("X-Forwarded-For"), request.remote, trust);
  if (!trust.certificates) return peer;
  peer.certified = request.header("X-Client-Verify") == "SUCCESS";
  peer.name = peer.certified ? request.header("X-Client-Name") : std::string_view();
  return peer;
}

std::string address_key(std::string_view address) {
  std::string text(address.substr(0, INET6_ADDRSTRLEN));
  std::uint8_t bytes[16];
  if (::inet_pton(AF_INET6, text.c_str(), bytes) != 1) return text;
  return to_hex(ByteView(bytes, 8)) + "/64";
}

Status check_certificate(const Peer& peer, std::string_view device_id, bool required) {
  if (!peer.certified && required)
    return Error(Code::unauthenticated, "devices must show a client certificate here; this connection has none");
  if (peer.certified && crypto::is_device_id(peer.name) && peer.name != device_id)
    return Error(Code::unauthenticated, "the client certificate is another device's");
  return {};
}

}  // namespace drover::api
