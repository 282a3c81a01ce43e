// The HTTP layer alone: a fixed answer after a MAC over the bearer token, and one file. What the server adds to this
// is the difference between its figures and these.
//   bare_server PORT TLS_PORT CERT KEY FILE
#include <sodium.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "common/net/http_files.h"

namespace {

using namespace drover;

constexpr std::string_view kAnswer = R"({"type":"idle","poll_seconds":30,"revision":12345,"token":null,"assignment":null})";

bool answer(const net::Request& request, net::Response& response) {
  static constexpr unsigned char kKey[32] = {7};
  if (request.path != "/api/v1/device/checkin") return false;
  const std::string_view token = request.bearer();
  unsigned char mac[32];
  crypto_generichash(mac, sizeof mac, reinterpret_cast<const unsigned char*>(token.data()), token.size(), kKey,
                     sizeof kKey);
  if (token.empty() || sodium_is_zero(mac, sizeof mac) != 0) return false;
  response.content_type = "application/json";
  std::get<std::string>(response.body) = kAnswer;
  return true;
}

boost::asio::awaitable<net::Response> download(net::Request& request, std::string path) {
  auto file = net::File::open(path);
  if (!file) co_return net::problem_response(file.error());
  auto size = (*file)->size();
  if (!size) co_return net::problem_response(size.error());
  co_return net::file_response(request, std::move(*file), *size, "\"bench\"", "application/octet-stream");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 || sodium_init() < 0) return 2;
  net::HttpServerOptions options;
  options.listen.resize(2);
  options.listen[0].port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  options.listen[1].port = static_cast<std::uint16_t>(std::atoi(argv[2]));
  options.listen[1].tls = true;
  options.tls.certificate = argv[3];
  options.tls.key = argv[4];
  options.threads = 1;
  const std::string path = argv[5];
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  auto server = net::HttpServer::create(
      options, [&path](net::Request& request) { return download(request, path); }, answer);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message().c_str());
    return 1;
  }
  (*server)->start();
  int signal = 0;
  sigwait(&set, &signal);
  (*server)->stop(std::chrono::seconds(2));
}
