// What the server does with clients that are wrong, too big, too slow or too many.
#include <openssl/ssl.h>

#include "common/net/http_server.h"
#include "tests/integration/net/support.h"
#include "tests/support/expect.h"

namespace drover::net {
namespace {

using test::body_of;
using test::RawClient;
using test::status_of;
using std::chrono::milliseconds;

boost::asio::awaitable<Response> answer_or_pull(Request& request) {
  if (request.stream == nullptr) co_return Response(200, "text/plain", "ok");
  for (;;) {
    auto chunk = co_await request.stream->next();
    if (!chunk) co_return problem_response(chunk.error());
    if (chunk->empty()) co_return Response(200);
  }
}

BodyPlan plan(const Request& request) {
  if (request.path == "/stream") return BodyPlan{5000, true};
  return BodyPlan{1000, false};
}

std::unique_ptr<HttpServer> serve(HttpServerOptions options, Handler handler = answer_or_pull) {
  if (options.listen.empty()) options.listen.resize(1);
  options.threads = 1;
  auto server = HttpServer::create(options, std::move(handler), {}, plan);
  if (!server) return nullptr;
  (*server)->start();
  return std::move(*server);
}

// Everything that the server says to these bytes until it closes.
std::string say(HttpServer& server, std::string_view bytes) {
  RawClient client(server.port());
  client.send(bytes);
  client.finish_sending();
  return client.rest();
}

TEST(HttpLimits, WhatIsNotHttpIsAnsweredWith400AndClosed) {
  auto server = serve({});
  for (const char* bytes : {
           "hello\r\n\r\n",
           "GET / HTTP/1.1\r\nHost x\r\n\r\n",
           "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
       }) {
    const std::string answer = say(*server, bytes);
    EXPECT_EQ(status_of(answer), 400) << bytes << answer;
    EXPECT_NE(answer.find("application/problem+json"), std::string::npos) << bytes;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << bytes;
  }
}

TEST(HttpLimits, ALengthBesideChunksCannotSmuggleARequest) {
  auto server = serve({});
  const std::string answer = say(*server,
                                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(answer), 400) << answer;
  EXPECT_EQ(server->stats().requests, 0u);
}

TEST(HttpLimits, AnotherVersionIsNotSpoken) {
  auto server = serve({});
  EXPECT_EQ(status_of(say(*server, "GET / HTTP/3.7\r\nHost: a\r\n\r\n")), 505);
}

TEST(HttpLimits, ABodyOverItsLimitIsRefusedBeforeItIsRead) {
  auto server = serve({});
  RawClient client(server->port());
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"));
  EXPECT_EQ(status_of(client.answer()), 413);
  EXPECT_EQ(status_of(say(*server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" +
                                       std::string(1000, 'x'))),
            200);
}

TEST(HttpLimits, AChunkedBodyIsCountedAsItComes) {
  auto server = serve({});
  const std::string head = " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string chunk = "1f4\r\n" + std::string(500, 'x') + "\r\n";
  std::string chunks = chunk + chunk;
  EXPECT_EQ(status_of(say(*server, "POST /" + head + chunks + "0\r\n\r\n")), 200);
  EXPECT_EQ(status_of(say(*server, "POST /" + head + chunks + chunk + "0\r\n\r\n")), 413);
  for (int i = 0; i < 10; ++i) chunks += chunk;
  EXPECT_EQ(status_of(say(*server, "POST /stream" + head + chunks + "0\r\n\r\n")), 413);
}

TEST(HttpLimits, AnEndlessChunkHeaderIsRefused) {
  auto server = serve({});
  const std::string answer = say(*server, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=" +
                                              std::string(40000, 'y'));
  EXPECT_TRUE(status_of(answer) == 431 || status_of(answer) == 400) << answer;
}

TEST(HttpLimits, AHeaderOverItsLimitIsRefused) {
  auto server = serve({});
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  EXPECT_EQ(status_of(say(*server, start + std::string(15000, 'x') + "\r\nConnection: close\r\n\r\n")), 200);
  EXPECT_EQ(status_of(say(*server, start + std::string(20000, 'x') + "\r\n\r\n")), 431);
  EXPECT_EQ(status_of(say(*server, start + std::string(500000, 'x'))), 431);
}

TEST(HttpLimits, AnUnknownExpectationIsRefused) {
  auto server = serve({});
  EXPECT_EQ(status_of(say(*server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: tea\r\n\r\nx")), 417);
}

TEST(HttpLimits, AClientThatSendsNothingIsCutOff) {
  HttpServerOptions options;
  options.header_timeout = milliseconds(40);
  auto server = serve(options);
  RawClient client(server->port());
  EXPECT_EQ(client.rest(), "");
  EXPECT_EQ(server->stats().timed_out, 1u);
}

TEST(HttpLimits, ASlowHeaderIsCutOffHoweverSteadilyItComes) {
  HttpServerOptions options;
  options.header_timeout = milliseconds(60);
  options.max_header = 16u << 20;  // a server that the machine left waiting must not meet this limit first
  auto server = serve(options);
  RawClient client(server->port());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\nX: "));
  // More and more of it, without end: each byte must not buy new time.
  while (client.send("y")) {
    if (server->stats().timed_out > 0) break;
    std::this_thread::yield();
  }
  EXPECT_EQ(status_of(client.rest()), 0);
}

TEST(HttpLimits, AnIdleConnectionIsCutOff) {
  HttpServerOptions options;
  options.idle_timeout = milliseconds(40);
  auto server = serve(options);
  RawClient client(server->port());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(status_of(client.answer()), 200);
  EXPECT_EQ(client.rest(), "");
}

TEST(HttpLimits, ASlowBodyIsCutOff) {
  HttpServerOptions options;
  options.body_timeout = milliseconds(40);
  auto server = serve(options);
  for (const char* path : {"/", "/stream"}) {
    RawClient client(server->port());
    ASSERT_TRUE(client.send("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc"));
    EXPECT_EQ(client.rest(), "") << path;
  }
  EXPECT_EQ(server->stats().timed_out, 2u);
}

TEST(HttpLimits, AClientThatDoesNotReadIsCutOff) {
  HttpServerOptions options;
  options.write_timeout = milliseconds(60);
  options.min_rate = 1024 * 1024 * 1024;
  const auto big = std::make_shared<const std::string>(64 * 1024 * 1024, 'x');
  struct Big {
    static boost::asio::awaitable<Response> answer(std::shared_ptr<const std::string> text) {
      Response response(200);
      response.body = std::move(text);
      co_return response;
    }
  };
  auto server = serve(options, [big](Request&) { return Big::answer(big); });
  RawClient client(server->port());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  while (server->stats().timed_out == 0) std::this_thread::yield();
  EXPECT_LT(client.rest().size(), big->size());
}

TEST(HttpLimits, ATlsClientThatDoesNotShakeHandsIsCutOff) {
  test::TempFolder folder;
  test::write_certificate(folder / "cert.pem", folder / "key.pem", "localhost");
  HttpServerOptions options;
  options.listen.resize(1);
  options.listen[0].tls = true;
  options.tls.certificate = folder / "cert.pem";
  options.tls.key = folder / "key.pem";
  options.header_timeout = milliseconds(60);
  auto server = serve(options);
  ASSERT_TRUE(server);
  RawClient silent(server->port());
  EXPECT_EQ(silent.rest(), "");
  RawClient plain(server->port());
  ASSERT_TRUE(plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(plain.rest().find("HTTP/"), std::string::npos);
}

TEST(HttpLimits, MoreConnectionsThanAllowedAreClosed) {
  HttpServerOptions options;
  options.max_connections = 2;
  auto server = serve(options);
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  RawClient one(server->port()), two(server->port());
  ASSERT_TRUE(one.send(request) && two.send(request));
  EXPECT_EQ(status_of(one.answer()), 200);
  EXPECT_EQ(status_of(two.answer()), 200);
  RawClient three(server->port());
  EXPECT_EQ(three.rest(), "");
  EXPECT_EQ(server->stats().refused, 1u);
  ASSERT_TRUE(one.send(request));
  EXPECT_EQ(status_of(one.answer()), 200) << "those that are there stay";
}

TEST(HttpLimits, CertificatesThatAreMissingOrDoNotFitAreSaid) {
  test::TempFolder folder;
  test::write_certificate(folder / "cert.pem", folder / "key.pem", "localhost");
  test::write_certificate(folder / "cert2.pem", folder / "key2.pem", "localhost");
  HttpServerOptions options;
  options.listen.resize(1);
  options.listen[0].tls = true;
  options.tls.certificate = folder / "none.pem";
  options.tls.key = folder / "key.pem";
  EXPECT_CODE(HttpServer::create(options, answer_or_pull), Code::io);
  options.tls.certificate = folder / "cert2.pem";
  EXPECT_FALSE(HttpServer::create(options, answer_or_pull));
}

}  // namespace
}  // namespace drover::net
