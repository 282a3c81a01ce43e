// The files of one side of TLS, all PEM.
#pragma once

#include <string>

namespace drover::net {

struct TlsFiles {
  std::string certificate;  // its own chain; a server needs one
  std::string key;          // the private key of it
  std::string authority;    // certificates of those who signed the other side's
};

}  // namespace drover::net
