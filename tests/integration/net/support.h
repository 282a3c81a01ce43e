// Real sockets for tests: certificates made on the spot, a client that sends raw bytes, a server that follows a script.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "common/net/http_server.h"
#include "tests/support/temp_folder.h"

namespace drover::test {

// Nothing in these tests takes this long unless it is broken.
inline constexpr int kPatienceSeconds = 20;

// A new P-256 key and a certificate of its own for `name` ("localhost") and 127.0.0.1; written as PEM.
void write_certificate(const std::string& certificate_file, const std::string& key_file, const std::string& name);

// `size` bytes that no shift or swap leaves the same.
std::string sample_bytes(std::size_t size);

// A blocking TCP (or TLS, unchecked) connection to 127.0.0.1.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port, bool tls = false);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return ok_; }
  // False when the peer has closed.
  bool send(std::string_view bytes);
  // One whole answer by its Content-Length (`head`: without a body); what follows it stays. Empty at the end.
  std::string answer(bool head = false);
  // Everything until the peer closes.
  std::string rest();
  void finish_sending();

 private:
  bool fill();
  int fd_ = -1;
  void* context_ = nullptr;
  void* ssl_ = nullptr;
  bool ok_ = false;
  std::string buffer_;
};

// Status line, headers and body of an answer.
int status_of(std::string_view answer);
std::string header_of(std::string_view answer, std::string_view name);
std::string body_of(std::string_view answer);

// Takes connections one after the other and hands each to `script` in a thread of its own.
class ScriptServer {
 public:
  class Peer {
   public:
    explicit Peer(int fd) : fd_(fd) {}
    // Reads up to the end of a request's header; false when the client has gone.
    bool read_header();
    bool send(std::string_view bytes);
    // Waits until the client closes.
    void wait_for_close();

   private:
    int fd_;
    std::string buffer_;
  };
  explicit ScriptServer(std::function<void(Peer&, int connection)> script);
  ~ScriptServer();
  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace drover::test
