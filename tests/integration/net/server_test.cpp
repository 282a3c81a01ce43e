// What the server does for clients that behave.
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>

#include "common/net/http_files.h"
#include "tests/integration/net/support.h"
#include "tests/support/expect.h"

namespace drover::net {
namespace {

namespace asio = boost::asio;
using test::body_of;
using test::header_of;
using test::RawClient;
using test::status_of;

constexpr std::size_t kFileSize = 5 * 1024 * 1024 + 4321;

asio::awaitable<Response> echo(Request& request) {
  std::string text(method_name(request.method));
  text.append(" ").append(request.target).append(" ").append(request.body);
  co_return Response(200, "text/plain", std::move(text));
}

// Counts the bytes of a streamed body and answers with their number and a simple sum.
asio::awaitable<Response> count_upload(Request& request) {
  std::uint64_t bytes = 0, sum = 0;
  for (;;) {
    auto chunk = co_await request.stream->next();
    if (!chunk) co_return problem_response(chunk.error());
    if (chunk->empty()) break;
    if (chunk->size() > BodyReader::kMaxChunk) co_return Response(500);
    bytes += chunk->size();
    for (char c : *chunk) sum = sum * 31 + static_cast<unsigned char>(c);
  }
  co_return Response(200, "text/plain", std::to_string(bytes) + " " + std::to_string(sum));
}

std::uint64_t sum_of(std::string_view bytes) {
  std::uint64_t sum = 0;
  for (char c : bytes) sum = sum * 31 + static_cast<unsigned char>(c);
  return sum;
}

asio::awaitable<Response> refuse_upload(Request&) { co_return problem_response(409, Code::conflict, "not now"); }

asio::awaitable<Response> fail(Request&) {
  throw std::runtime_error("deliberate");
  co_return Response();
}

// Ends when `gate` does; a timer that is cancelled or never fires would leave the request in flight.
asio::awaitable<Response> wait_for(std::shared_future<void> gate, std::promise<void>* entered) {
  entered->set_value();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (gate.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    timer.expires_after(std::chrono::milliseconds(1));
    co_await timer.async_wait(asio::use_awaitable);
  }
  co_return Response(200, "text/plain", "done");
}

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    content_ = test::sample_bytes(kFileSize);
    folder_.write("blob", content_);
    test::write_certificate(folder_ / "cert.pem", folder_ / "key.pem", "localhost");
    big_ = std::make_shared<const std::string>(test::sample_bytes(3 * 1024 * 1024 + 77));
    HttpServerOptions options;
    options.listen.resize(2);
    options.listen[1].tls = true;
    options.tls.certificate = folder_ / "cert.pem";
    options.tls.key = folder_ / "key.pem";
    options.threads = 1;
    auto server = HttpServer::create(
        options, [this](Request& request) { return route(request); },
        [](const Request& request, Response& response) {
          if (request.path != "/fast") return false;
          response.content_type = "application/json";
          std::get<std::string>(response.body) = "{\"token\":\"" + std::string(request.bearer()) + "\"}";
          return true;
        },
        [](const Request& request) {
          BodyPlan plan;
          if (request.path.starts_with("/upload")) plan = BodyPlan{64 * 1024 * 1024, true};
          return plan;
        });
    ASSERT_OK(server);
    server_ = std::move(*server);
    server_->start();
  }

  asio::awaitable<Response> route(Request& request) {
    if (request.path == "/blob") return blob(request);
    if (request.path == "/big") return big(request);
    if (request.path == "/upload") return count_upload(request);
    if (request.path == "/upload-refused") return refuse_upload(request);
    if (request.path == "/fail") return fail(request);
    if (request.path == "/wait") return wait_for(gate_.get_future().share(), &entered_);
    return echo(request);
  }

  asio::awaitable<Response> blob(Request& request) {
    auto file = File::open(folder_ / "blob");
    if (!file) co_return problem_response(file.error());
    co_return file_response(request, std::move(*file), kFileSize, "\"t\"", "application/octet-stream");
  }

  asio::awaitable<Response> big(Request&) {
    Response response(200);
    response.body = big_;
    co_return response;
  }

  std::string ask(std::string_view request, bool tls = false, bool head = false) {
    RawClient client(server_->port(tls ? 1 : 0), tls);
    EXPECT_TRUE(client.connected());
    EXPECT_TRUE(client.send(request));
    return client.answer(head);
  }

  test::TempFolder folder_;
  std::string content_;
  std::shared_ptr<const std::string> big_;
  std::promise<void> gate_, entered_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AConnectionServesManyRequests) {
  for (const bool tls : {false, true}) {
    RawClient client(server_->port(tls ? 1 : 0), tls);
    ASSERT_TRUE(client.connected());
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(client.send("GET /n?i=" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n"));
      const std::string answer = client.answer();
      ASSERT_EQ(status_of(answer), 200);
      EXPECT_EQ(body_of(answer), "GET /n?i=" + std::to_string(i) + " ");
      EXPECT_NE(header_of(answer, "date"), "");
    }
  }
  EXPECT_EQ(server_->stats().accepted, 2u);
  EXPECT_EQ(server_->stats().requests, 200u);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.send("GET /fast HTTP/1.1\r\nHost: x\r\nAuthorization: bearer T1\r\n\r\n"
                          "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                          "GET /blob HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\n"
                          "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(body_of(client.answer()), "{\"token\":\"T1\"}");
  EXPECT_EQ(body_of(client.answer()), "POST /slow abc");
  EXPECT_EQ(body_of(client.answer()), content_.substr(1, 2));
  EXPECT_EQ(body_of(client.answer()), "{\"token\":\"\"}");
  EXPECT_EQ(server_->stats().fast, 2u);
}

TEST_F(HttpServerTest, ARequestMayComeByteByByte) {
  RawClient client(server_->port());
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
  for (char c : request) ASSERT_TRUE(client.send(std::string(1, c)));
  EXPECT_EQ(body_of(client.answer()), "POST /x hello world");
}

TEST_F(HttpServerTest, OldClientsGetWhatTheyAskFor) {
  RawClient close(server_->port());
  ASSERT_TRUE(close.send("GET /old HTTP/1.0\r\n\r\n"));
  EXPECT_NE(close.rest().find("Connection: close\r\n"), std::string::npos);
  RawClient keep(server_->port());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(keep.send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_EQ(header_of(keep.answer(), "connection"), "keep-alive");
  }
  RawClient last(server_->port());
  ASSERT_TRUE(last.send("GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  EXPECT_EQ(body_of(last.rest()), "GET /x ");
}

TEST_F(HttpServerTest, HeadHasTheLengthAndNoBody) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.send("HEAD /blob HTTP/1.1\r\nHost: x\r\n\r\nHEAD /x HTTP/1.1\r\nHost: x\r\n\r\n"
                          "GET /y HTTP/1.1\r\nHost: x\r\n\r\n"));
  const std::string blob = client.answer(true);
  EXPECT_EQ(header_of(blob, "content-length"), std::to_string(kFileSize));
  EXPECT_EQ(header_of(blob, "etag"), "\"t\"");
  EXPECT_EQ(header_of(client.answer(true), "content-length"), "8");
  EXPECT_EQ(body_of(client.answer()), "GET /y ");
}

TEST_F(HttpServerTest, FilesArriveWholePlainAndEncrypted) {
  for (const bool tls : {false, true}) {
    const std::string answer = ask("GET /blob HTTP/1.1\r\nHost: x\r\n\r\n", tls);
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_TRUE(body_of(answer) == content_) << (tls ? "TLS" : "plain");
  }
}

TEST_F(HttpServerTest, RangesOfFilesArePlainAndEncryptedTheSameBytes) {
  for (const bool tls : {false, true}) {
    const std::string middle = ask("GET /blob HTTP/1.1\r\nHost: x\r\nRange: bytes=1000000-3999999\r\n\r\n", tls);
    EXPECT_EQ(status_of(middle), 206);
    EXPECT_EQ(header_of(middle, "content-range"), "bytes 1000000-3999999/" + std::to_string(kFileSize));
    EXPECT_TRUE(body_of(middle) == content_.substr(1000000, 3000000));
    const std::string end = ask("GET /blob HTTP/1.1\r\nHost: x\r\nRange: bytes=-5\r\nIf-Range: \"t\"\r\n\r\n", tls);
    EXPECT_EQ(body_of(end), content_.substr(kFileSize - 5));
    const std::string changed = ask("GET /blob HTTP/1.1\r\nHost: x\r\nRange: bytes=-5\r\nIf-Range: \"u\"\r\n\r\n", tls);
    EXPECT_EQ(status_of(changed), 200);
    EXPECT_EQ(body_of(changed).size(), kFileSize);
    const std::string outside = ask("GET /blob HTTP/1.1\r\nHost: x\r\nRange: bytes=99999999-\r\n\r\n", tls);
    EXPECT_EQ(status_of(outside), 416);
    EXPECT_EQ(header_of(outside, "content-range"), "bytes */" + std::to_string(kFileSize));
    const std::string same = ask("GET /blob HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"t\"\r\n\r\n", tls);
    EXPECT_EQ(status_of(same), 304);
  }
}

TEST_F(HttpServerTest, LongTextArrivesWhole) {
  for (const bool tls : {false, true})
    EXPECT_TRUE(body_of(ask("GET /big HTTP/1.1\r\nHost: x\r\n\r\n", tls)) == *big_);
}

TEST_F(HttpServerTest, UploadsAreHandedOverInPieces) {
  const std::string body = test::sample_bytes(7 * 1024 * 1024 + 5);
  for (const bool tls : {false, true}) {
    RawClient client(server_->port(tls ? 1 : 0), tls);
    ASSERT_TRUE(client.send("PATCH /upload HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
                            "\r\n\r\n"));
    ASSERT_TRUE(client.send(body));
    EXPECT_EQ(body_of(client.answer()), std::to_string(body.size()) + " " + std::to_string(sum_of(body)));
    ASSERT_TRUE(client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_EQ(body_of(client.answer()), "GET /next ");
  }
}

TEST_F(HttpServerTest, AChunkedUploadIsHandedOverToo) {
  const std::string body = test::sample_bytes(300000);
  RawClient client(server_->port());
  ASSERT_TRUE(client.send("PATCH /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n"));
  ASSERT_TRUE(client.send(body));
  ASSERT_TRUE(client.send("\r\n0\r\n\r\n"));
  EXPECT_EQ(body_of(client.answer()), std::to_string(body.size()) + " " + std::to_string(sum_of(body)));
}

TEST_F(HttpServerTest, ARefusalOfAnUploadIsHeardAlthoughItIsStillBeingSent) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.send("PATCH /upload-refused HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"));
  ASSERT_TRUE(client.send(test::sample_bytes(3000000)));
  client.finish_sending();
  const std::string answer = client.rest();
  EXPECT_EQ(status_of(answer), 409);
  EXPECT_EQ(header_of(answer, "connection"), "close");
}

TEST_F(HttpServerTest, AClientThatExpectsToBeAskedIsAsked) {
  for (const char* path : {"/small", "/upload"}) {
    RawClient client(server_->port());
    ASSERT_TRUE(client.send("PATCH " + std::string(path) +
                            " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
    EXPECT_EQ(status_of(client.answer()), 100);
    ASSERT_TRUE(client.send("abc"));
    EXPECT_EQ(status_of(client.answer()), 200);
  }
  RawClient refused(server_->port());
  ASSERT_TRUE(refused.send(
      "PATCH /upload-refused HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(status_of(refused.answer()), 409) << "not asked for a body that nobody wants";
}

TEST_F(HttpServerTest, AHandlerThatThrowsCostsOneAnswer) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.send("GET /fail HTTP/1.1\r\nHost: x\r\n\r\nGET /fine HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(status_of(client.answer()), 500);
  EXPECT_EQ(status_of(client.answer()), 200);
}

TEST_F(HttpServerTest, StoppingLetsARequestInFlightFinish) {
  RawClient idle(server_->port()), busy(server_->port());
  ASSERT_TRUE(idle.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(status_of(idle.answer()), 200);
  ASSERT_TRUE(busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
  entered_.get_future().wait();
  auto stopped = std::async(std::launch::async, [this] { return server_->stop(std::chrono::seconds(20)); });
  EXPECT_EQ(idle.rest(), "") << "the idle connection is closed first";
  gate_.set_value();
  const std::string answer = busy.rest();
  EXPECT_EQ(body_of(answer), "done");
  EXPECT_EQ(header_of(answer, "connection"), "close");
  EXPECT_TRUE(stopped.get());
  EXPECT_FALSE(RawClient(server_->port()).connected());
}

TEST_F(HttpServerTest, StoppingCutsOffWhatDoesNotFinish) {
  RawClient busy(server_->port());
  ASSERT_TRUE(busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
  entered_.get_future().wait();
  EXPECT_FALSE(server_->stop(std::chrono::milliseconds(20)));
  EXPECT_EQ(busy.rest(), "");
  gate_.set_value();
}

TEST_F(HttpServerTest, NewCertificatesServeNewConnections) {
  test::write_certificate(folder_ / "cert.pem", folder_ / "key.pem", "other.example");
  ASSERT_OK(server_->reload_certificates());
  EXPECT_EQ(status_of(ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", true)), 200);
  folder_.write("key.pem", "not a key");
  EXPECT_CODE(server_->reload_certificates(), Code::io);
  EXPECT_EQ(status_of(ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", true)), 200) << "the last good one stays";
}

TEST_F(HttpServerTest, APortInUseIsAnErrorAndNotShared) {
  HttpServerOptions options;
  options.listen.resize(1);
  options.listen[0].port = server_->port();
  EXPECT_CODE(HttpServer::create(options, echo), Code::io);
}

}  // namespace
}  // namespace drover::net
