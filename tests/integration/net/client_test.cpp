// The client against our own server, and against servers that misbehave by a script.
#include "common/net/http_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>

#include "common/net/http_files.h"
#include "common/net/ranges.h"
#include "tests/integration/net/support.h"
#include "tests/support/expect.h"

namespace drover::net {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using test::ScriptServer;

asio::awaitable<Response> answer(Request& request, std::string path) {
  if (request.path == "/blob") {
    auto file = File::open(path);
    if (!file) co_return problem_response(file.error());
    auto size = (*file)->size();
    co_return file_response(request, std::move(*file), *size, "\"v1\"", "application/octet-stream");
  }
  if (request.path == "/busy") co_return problem_response(503, Code::unavailable, "later");
  if (request.stream != nullptr) {
    if (request.path == "/refuse") co_return problem_response(409, Code::conflict, "not at this offset");
    std::string all;
    for (;;) {
      auto chunk = co_await request.stream->next();
      if (!chunk) co_return problem_response(chunk.error());
      if (chunk->empty()) break;
      all += *chunk;
    }
    co_return Response(200, "application/octet-stream", std::move(all));
  }
  co_return Response(200, "text/plain", std::string(method_name(request.method)) + " " + std::string(request.target) +
                                            " " + request.body + " " + std::string(request.header("x-test")));
}

// Collects; stops with an error after `limit` bytes.
class Collector final : public ResponseSink {
 public:
  explicit Collector(std::size_t limit = SIZE_MAX) : limit_(limit) {}
  Status begin(const ClientResponse& head) override {
    status = head.status;
    content_range = head.header("content-range");
    return {};
  }
  Status write(std::string_view chunk) override {
    biggest = std::max(biggest, chunk.size());
    bytes += chunk;
    if (bytes.size() > limit_) return Error(Code::disk_full, "the sink is full");
    return {};
  }
  int status = 0;
  std::string content_range, bytes;
  std::size_t biggest = 0;

 private:
  std::size_t limit_;
};

Result<std::unique_ptr<BlockingHttpClient>> connect_to(const std::string& url, const std::string& ca = {},
                                                       milliseconds stall = milliseconds(20000)) {
  ClientOptions options;
  options.base_url = url;
  options.tls.authority = ca;
  options.stall_timeout = stall;
  return BlockingHttpClient::create(options);
}

ClientRequest get(std::string target) {
  ClientRequest request;
  request.target = std::move(target);
  return request;
}

class HttpClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    content_ = test::sample_bytes(3 * 1024 * 1024 + 99);
    path_ = folder_.write("blob", content_);
    test::write_certificate(folder_ / "cert.pem", folder_ / "key.pem", "localhost");
    test::write_certificate(folder_ / "other.pem", folder_ / "other-key.pem", "other.example");
    server_ = serve("cert.pem", "key.pem");
  }

  std::unique_ptr<HttpServer> serve(const char* certificate, const char* key) {
    HttpServerOptions options;
    options.listen.resize(2);
    options.listen[1].tls = true;
    options.tls.certificate = folder_ / certificate;
    options.tls.key = folder_ / key;
    options.threads = 1;
    auto server = HttpServer::create(
        options, [this](Request& request) { return answer(request, path_); }, {},
        [](const Request& request) {
          BodyPlan plan;
          if (request.method == Method::patch) plan = BodyPlan{64 * 1024 * 1024, true};
          return plan;
        });
    EXPECT_OK(server);
    (*server)->start();
    return std::move(*server);
  }

  std::string url(bool tls, const char* host = "127.0.0.1") {
    return (tls ? "https://" : "http://") + std::string(host) + ":" + std::to_string(server_->port(tls ? 1 : 0));
  }
  std::string ca() { return folder_ / "cert.pem"; }

  test::TempFolder folder_;
  std::string content_, path_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpClientTest, OneConnectionIsUsedForManyRequests) {
  for (const bool tls : {false, true}) {
    auto client = connect_to(url(tls) + "/prefix/", ca());
    ASSERT_OK(client);
    for (int i = 0; i < 5; ++i) {
      ClientRequest request = get("/a?i=" + std::to_string(i));
      request.method = Method::post;
      request.body = "text";
      request.headers.add("X-Test", "v");
      auto response = (*client)->send(request);
      ASSERT_OK(response);
      EXPECT_EQ(response->body, "POST /prefix/a?i=" + std::to_string(i) + " text v");
      EXPECT_EQ(response->header("content-type"), "text/plain");
    }
  }
  EXPECT_EQ(server_->stats().accepted, 2u);
}

TEST_F(HttpClientTest, AFailureStatusIsAnAnswer) {
  auto client = connect_to(url(false));
  auto response = (*client)->send(get("/busy"));
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 503);
  EXPECT_NE(response->body.find("unavailable"), std::string::npos);
}

TEST_F(HttpClientTest, TheServerMustHaveATrustedCertificateForItsName) {
  auto by_name = connect_to(url(true, "localhost"), ca());
  EXPECT_OK((*by_name)->send(get("/")));
  auto unknown_issuer = connect_to(url(true), folder_ / "other.pem");
  EXPECT_CODE((*unknown_issuer)->send(get("/")), Code::unauthenticated);
  auto system_store = connect_to(url(true));
  EXPECT_CODE((*system_store)->send(get("/")), Code::unauthenticated);
  server_ = serve("other.pem", "other-key.pem");
  auto wrong_name = connect_to(url(true, "localhost"), folder_ / "other.pem");
  EXPECT_CODE((*wrong_name)->send(get("/")), Code::unauthenticated);
  auto wrong_address = connect_to(url(true), folder_ / "other.pem");
  EXPECT_CODE((*wrong_address)->send(get("/")), Code::unauthenticated);
  EXPECT_CODE(connect_to(url(true), folder_ / "none.pem"), Code::io);
}

TEST_F(HttpClientTest, ADownloadThatBrokeOffIsResumed) {
  for (const bool tls : {false, true}) {
    auto client = connect_to(url(tls), ca());
    Collector first(1'000'000);
    ClientRequest request = get("/blob");
    request.sink = &first;
    EXPECT_CODE((*client)->send(request), Code::disk_full);
    ASSERT_GT(first.bytes.size(), 1'000'000u);
    ASSERT_LT(first.bytes.size(), content_.size());
    Collector second;
    request.sink = &second;
    request.headers.add("Range", "bytes=" + std::to_string(first.bytes.size()) + "-");
    request.headers.add("If-Range", "\"v1\"");
    auto response = (*client)->send(request);
    ASSERT_OK(response);
    EXPECT_EQ(second.status, 206);
    ContentRange range;
    ASSERT_TRUE(parse_content_range(second.content_range, range));
    EXPECT_EQ(range.first, first.bytes.size());
    EXPECT_EQ(response->received, second.bytes.size());
    EXPECT_TRUE(response->body.empty());
    EXPECT_TRUE(first.bytes + second.bytes == content_);
    EXPECT_LE(second.biggest, 64u * 1024) << "never more than a block in memory";
  }
}

TEST_F(HttpClientTest, AnErrorsBodyDoesNotGoToTheSink) {
  auto client = connect_to(url(false));
  Collector sink;
  ClientRequest request = get("/blob");
  request.sink = &sink;
  request.headers.add("Range", "bytes=99999999-");
  auto response = (*client)->send(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 416);
  EXPECT_NE(response->body.find("range_not_satisfiable"), std::string::npos);
  EXPECT_EQ(sink.status, 0);
}

TEST_F(HttpClientTest, AFileIsUploadedFromWhereItStands) {
  for (const bool tls : {false, true}) {
    auto client = connect_to(url(tls), ca());
    auto file = File::open(path_);
    ASSERT_OK(file);
    ClientRequest request = get("/up");
    request.method = Method::patch;
    request.body = FileBody{*file, 1000, 2'000'000};
    request.max_body = 3'000'000;
    auto response = (*client)->send(request);
    ASSERT_OK(response);
    EXPECT_TRUE(response->body == content_.substr(1000, 2'000'000));
  }
}

TEST_F(HttpClientTest, ARefusalInTheMiddleOfAnUploadIsHeard) {
  auto client = connect_to(url(false));
  ClientRequest request = get("/refuse");
  request.method = Method::patch;
  request.body = FileBody{*File::open(path_), 0, content_.size()};
  auto response = (*client)->send(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 409);
  EXPECT_OK((*client)->send(get("/next")));
}

TEST_F(HttpClientTest, AFileThatGotShorterIsSaid) {
  auto client = connect_to(url(false));
  ClientRequest request = get("/up");
  request.method = Method::patch;
  request.body = FileBody{*File::open(path_), content_.size() - 10, 20};
  EXPECT_CODE((*client)->send(request), Code::io);
}

TEST_F(HttpClientTest, HeadBringsNoBody) {
  auto client = connect_to(url(false));
  ClientRequest request = get("/blob");
  request.method = Method::head;
  for (int i = 0; i < 2; ++i) {
    auto response = (*client)->send(request);
    ASSERT_OK(response);
    EXPECT_EQ(response->header("content-length"), std::to_string(content_.size()));
    EXPECT_EQ(response->body, "");
  }
  EXPECT_EQ(server_->stats().accepted, 1u);
}

TEST_F(HttpClientTest, ARateCapSlowsNothingButTheTransfer) {
  auto client = connect_to(url(false));
  Collector sink;
  ClientRequest request = get("/blob");
  request.sink = &sink;
  request.max_rate = 60'000'000;
  EXPECT_OK((*client)->send(request));
  EXPECT_TRUE(sink.bytes == content_);
}

std::string http_url(const ScriptServer& server) { return "http://127.0.0.1:" + std::to_string(server.port()); }

TEST(HttpClientTrouble, NobodyListensIsUnavailable) {
  std::uint16_t port = 0;
  {
    ScriptServer server([](ScriptServer::Peer&, int) {});
    port = server.port();
  }
  auto client = connect_to("http://127.0.0.1:" + std::to_string(port));
  EXPECT_CODE((*client)->send(get("/")), Code::unavailable);
}

TEST(HttpClientTrouble, ANameThatDoesNotExistIsUnavailable) {
  auto client = connect_to("http://no-such-name.invalid");
  EXPECT_CODE((*client)->send(get("/")), Code::unavailable);
}

TEST(HttpClientTrouble, AServerThatNeverAnswersMeetsTheDeadline) {
  ScriptServer server([](ScriptServer::Peer& peer, int) { peer.wait_for_close(); });
  auto client = connect_to(http_url(server));
  ClientRequest request = get("/");
  request.deadline = milliseconds(50);
  EXPECT_CODE((*client)->send(request), Code::timeout);
  EXPECT_EQ(server.connections(), 1) << "a request that timed out is not sent again";
}

TEST(HttpClientTrouble, ATlsHandshakeThatNeverEndsMeetsTheConnectTimeout) {
  ScriptServer server([](ScriptServer::Peer& peer, int) { peer.wait_for_close(); });
  ClientOptions options;
  options.base_url = "https://127.0.0.1:" + std::to_string(server.port());
  options.connect_timeout = milliseconds(50);
  auto client = BlockingHttpClient::create(options);
  ASSERT_OK(client);
  EXPECT_CODE((*client)->send(get("/")), Code::timeout);
}

TEST(HttpClientTrouble, ATransferThatStallsIsGivenUp) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
    peer.wait_for_close();
  });
  auto client = connect_to(http_url(server), {}, milliseconds(60));
  Collector sink;
  ClientRequest request = get("/");
  request.sink = &sink;
  request.deadline = std::chrono::hours(1);
  EXPECT_CODE((*client)->send(request), Code::timeout);
  EXPECT_EQ(sink.bytes, "abc") << "what came is kept for resuming";
}

TEST(HttpClientTrouble, AnUploadThatNobodyReadsIsGivenUp) {
  std::promise<void> given_up;
  auto done = given_up.get_future().share();
  ScriptServer server([done](ScriptServer::Peer& peer, int) {
    peer.read_header();
    done.wait();
  });
  auto client = connect_to(http_url(server), {}, milliseconds(60));
  ClientRequest request = get("/");
  request.method = Method::post;
  request.body = std::string(64 * 1024 * 1024, 'x');
  EXPECT_CODE((*client)->send(request), Code::timeout);
  given_up.set_value();
}

TEST(HttpClientTrouble, AnEndlessBodyIsBounded) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer.send("5\r\nhello\r\n")) {
    }
  });
  auto client = connect_to(http_url(server));
  ClientRequest request = get("/");
  request.max_body = 100'000;
  EXPECT_CODE((*client)->send(request), Code::too_large);
  Collector sink;
  request.sink = &sink;
  request.max_streamed = 200'000;
  EXPECT_CODE((*client)->send(request), Code::too_large);
  EXPECT_LE(sink.bytes.size(), 200'000u);
}

TEST(HttpClientTrouble, AnAnnouncedBodyOverTheBoundIsNotReadAtAll) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
    peer.wait_for_close();
  });
  auto client = connect_to(http_url(server));
  EXPECT_CODE((*client)->send(get("/")), Code::too_large);
}

TEST(HttpClientTrouble, AnEndlessHeaderIsBounded) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\n");
    while (peer.send("X-Header: and so on and on\r\n")) {
    }
  });
  auto client = connect_to(http_url(server));
  EXPECT_CODE((*client)->send(get("/")), Code::too_large);
}

TEST(HttpClientTrouble, AnAnswerCutShortIsUnavailable) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  });
  auto client = connect_to(http_url(server));
  EXPECT_CODE((*client)->send(get("/")), Code::unavailable);
}

TEST(HttpClientTrouble, ABodyThatEndsWithTheConnectionIsTaken) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\n\r\nall of it");
  });
  auto client = connect_to(http_url(server));
  auto response = (*client)->send(get("/"));
  ASSERT_OK(response);
  EXPECT_EQ(response->body, "all of it");
}

TEST(HttpClientTrouble, WhatIsNotHttpIsMalformed) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    peer.read_header();
    peer.send("220 mail.example ESMTP\r\n\r\n");
  });
  auto client = connect_to(http_url(server));
  EXPECT_CODE((*client)->send(get("/")), Code::malformed);
}

TEST(HttpClientTrouble, InterimAnswersArePassedOver) {
  ScriptServer server([](ScriptServer::Peer& peer, int) {
    while (peer.read_header())
      peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  });
  auto client = connect_to(http_url(server));
  for (int i = 0; i < 2; ++i) {
    auto response = (*client)->send(get("/"));
    ASSERT_OK(response);
    EXPECT_EQ(response->body, "hi");
    EXPECT_EQ(response->header("link"), "");
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClientTrouble, AKeptConnectionThatTheServerClosesOnUseIsReplacedForARepeatableRequest) {
  // The first connection takes a second request and closes without a word, as a server does that was just stopping.
  ScriptServer server([](ScriptServer::Peer& peer, int connection) {
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection % 10));
    peer.read_header();
  });
  auto client = connect_to(http_url(server));
  ASSERT_OK((*client)->send(get("/")));
  auto again = (*client)->send(get("/"));
  ASSERT_OK(again);
  EXPECT_EQ(again->body, "1");
  ClientRequest post = get("/");
  post.method = Method::post;
  EXPECT_CODE((*client)->send(post), Code::unavailable) << "it might have been done";
  ASSERT_OK((*client)->send(get("/")));
  post.repeatable = true;
  EXPECT_OK((*client)->send(post));
}

asio::awaitable<void> ask(HttpClient* client, std::optional<Result<ClientResponse>>* out) {
  ClientRequest request;
  request.target = "/";
  out->emplace(co_await client->send(std::move(request)));
}

TEST(HttpClientTrouble, ClosingEndsRequestsInFlight) {
  asio::io_context io;
  std::unique_ptr<HttpClient> client;
  ScriptServer server([&](ScriptServer::Peer& peer, int) {
    peer.read_header();
    asio::post(io, [&client] { client->close(); });
    peer.wait_for_close();
  });
  ClientOptions options;
  options.base_url = http_url(server);
  client = std::move(*HttpClient::create(io.get_executor(), options));
  std::optional<Result<ClientResponse>> out;
  asio::co_spawn(io, ask(client.get(), &out), [](std::exception_ptr) {});
  io.run();
  ASSERT_TRUE(out);
  EXPECT_CODE(*out, Code::cancelled);
}

}  // namespace
}  // namespace drover::net
