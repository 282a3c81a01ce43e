// Certificates are renewed while the server runs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/net/http_server.h"

namespace drover::server {

// Notices that files have been replaced or written. Whoever renews a certificate writes two files, one after the other:
// a change is told once it has come to rest between two looks.
class FileWatch {
 public:
  // Empty names are left out; what the files are now is no change.
  explicit FileWatch(std::vector<std::string> files);
  // One look. True once for each change.
  bool has_changed();

 private:
  struct Mark {
    std::filesystem::file_time_type written{};
    std::uintmax_t size = 0;
    bool operator==(const Mark&) const = default;
  };
  std::vector<Mark> look() const;

  std::vector<std::string> files_;
  std::vector<Mark> told_, seen_;
};

// Loads the TLS files again and says in the log what came of it; wrong ones leave the certificate in use as it is.
void reload_certificate(net::HttpServer& http);

}  // namespace drover::server
