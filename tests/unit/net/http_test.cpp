#include "common/net/http.h"

#include <gtest/gtest.h>

#include "common/net/http_client.h"
#include "common/net/http_server.h"
#include "tests/support/expect.h"

namespace drover::net {
namespace {

TEST(HeaderLines, AreFoundWhateverTheCase) {
  HeaderLines lines;
  lines.add("Content-Type", "a/b");
  lines.add("X", "");
  lines.add("ETag", "\"1: 2\"");
  EXPECT_EQ(lines.get("content-type"), "a/b");
  EXPECT_EQ(lines.get("etag"), "\"1: 2\"");
  EXPECT_EQ(lines.get("X"), "");
  EXPECT_EQ(lines.get("absent"), "");
  EXPECT_EQ(lines.text(), "Content-Type: a/b\r\nX: \r\nETag: \"1: 2\"\r\n");
}

TEST(HeaderLines, NothingCanBeInjected) {
  HeaderLines lines;
  lines.add("A", "x\r\nSet-Cookie: y");
  lines.add("B\r\nC", "x");
  lines.add("D E", "x");
  lines.add("", "x");
  EXPECT_EQ(lines.text(), "");
}

TEST(Percent, DecodesAndRefusesBrokenEscapes) {
  auto decoded = percent_decode("sha256%3aab%2Fc+d");
  ASSERT_OK(decoded);
  EXPECT_EQ(*decoded, "sha256:ab/c+d");
  for (const char* text : {"%", "%4", "%zz", "a%0", "%00"}) EXPECT_CODE(percent_decode(text), Code::malformed) << text;
}

TEST(Percent, WhatIsEncodedComesBack) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  auto back = percent_decode(percent_encode(all));
  ASSERT_OK(back);
  EXPECT_EQ(*back, all);
  EXPECT_EQ(percent_encode("aZ09-._~ /:"), "aZ09-._~%20%2F%3A");
}

TEST(Query, SplitsPairsAndKeepsEmptyOnes) {
  auto query = parse_query("a=1&b=x%20y+z&c&&d=e=f");
  ASSERT_OK(query);
  const std::vector<std::pair<std::string, std::string>> expected{{"a", "1"}, {"b", "x y z"}, {"c", ""}, {"d", "e=f"}};
  EXPECT_EQ(*query, expected);
  EXPECT_CODE(parse_query("a=%"), Code::malformed);
}

TEST(Urls, AreTakenApart) {
  auto url = Url::parse("https://fleet.example:8443/drover/");
  ASSERT_OK(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "fleet.example");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->prefix, "/drover");
  EXPECT_EQ(url->authority(), "fleet.example:8443");
  auto six = Url::parse("http://[::1]");
  ASSERT_OK(six);
  EXPECT_EQ(six->host, "::1");
  EXPECT_EQ(six->port, 80);
  EXPECT_EQ(six->authority(), "[::1]");
}

TEST(Urls, ThatAreNotOursAreRefused) {
  for (const char* text : {"", "fleet.example", "ftp://x", "https://", "https://:1", "https://u@h", "https://h?x",
                           "https://h#x", "https://h:0", "https://h:65536", "https://h:8x", "https://[::1", "https://a b",
                           "https://[::1]x"})
    EXPECT_CODE(Url::parse(text), Code::invalid_argument) << text;
}

TEST(Problems, AreProblemDetailsWithTheStableCode) {
  const Response response = problem_response(Error(Code::not_found, "no model \"a\"\n"));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(std::get<std::string>(response.body),
            R"({"type":"about:blank","title":"Not Found","status":404,"code":"not_found","detail":"no model \"a\"\u000a"})");
}

}  // namespace
}  // namespace drover::net
