// Who is at the other end of a request: the connection itself, or whom a proxy that we trust speaks for. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/net/http_server.h"

namespace drover::api {

// Whose word is taken about somebody else.
struct ProxyTrust {
  std::vector<std::string> addresses;  // numeric; their X-Forwarded-For names the client
  bool certificates = false;           // they check clients' certificates, and say so in X-Client-Verify, X-Client-Name
};

// Views into the request.
struct Peer {
  std::string_view address;
  bool certified = false;  // has shown a certificate that was verified
  std::string_view name;   // the common name in it
};

// The client's address is the last one in X-Forwarded-For that is not a trusted proxy itself: what stands further to
// the left was written by the client.
Peer peer_of(const net::Request& request, const ProxyTrust& trust);

// What wrong tokens are counted by: the address, of IPv6 its /64, since whoever has one address of it has them all.
std::string address_key(std::string_view address);

// A certificate whose common name is the id of a device is good for that device alone. unauthenticated when it is
// another's, or when there is none and one is `required`.
Status check_certificate(const Peer& peer, std::string_view device_id, bool required);

}  // namespace drover::api
