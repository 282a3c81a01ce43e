// Internal: Beast's HTTP/1 parser, writing straight into our Request and ClientResponse.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <string_view>

#include "common/net/http_client.h"
#include "common/net/http_server.h"

namespace drover::net {

// Fills a Request, which it uses again (its memory stays).
class RequestBuilder final : public boost::beast::http::basic_parser<true> {
 public:
  RequestBuilder(Request& request, std::uint64_t body_limit);

  void set_body_limit(std::uint64_t limit) { limit_ = limit; }
  // Body bytes so far.
  std::uint64_t received() const { return received_; }
  bool expects_continue() const { return expects_continue_; }
  bool unknown_expectation() const { return unknown_expectation_; }
  // Exactly one Host header, as HTTP/1.1 demands, and a target that is a path.
  bool acceptable() const { return (hosts_ == 1 || (hosts_ == 0 && version_ < 11)) && target_ok_; }
  unsigned http_version() const { return version_; }

 private:
  using string_view = boost::beast::string_view;
  using error_code = boost::beast::error_code;
  using field = boost::beast::http::field;

  void on_request_impl(boost::beast::http::verb method, string_view text, string_view target, int version,
                       error_code& ec) override;
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(field name, string_view name_text, string_view value, error_code& ec) override;
  void on_header_impl(error_code& ec) override;
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code& ec) override { ec = error_code(); }
  std::size_t on_body_impl(string_view body, error_code& ec) override;
  void on_chunk_header_impl(std::uint64_t, string_view, error_code& ec) override { ec = error_code(); }
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code& ec) override {
    return on_body_impl(body, ec);
  }
  void on_finish_impl(error_code& ec) override { ec = error_code(); }

  Request& request_;
  std::uint64_t limit_;
  std::uint64_t received_ = 0;
  std::uint32_t target_size_ = 0, bearer_ = 0, bearer_size_ = 0;
  unsigned hosts_ = 0, version_ = 11;
  bool target_ok_ = false, expects_continue_ = false, unknown_expectation_ = false;
};

// Fills status and headers of a ClientResponse; body bytes collect in `body`, to be taken after each put().
class ResponseBuilder final : public boost::beast::http::basic_parser<false> {
 public:
  explicit ResponseBuilder(ClientResponse& response);
  std::string body;

 private:
  using string_view = boost::beast::string_view;
  using error_code = boost::beast::error_code;

  void on_request_impl(boost::beast::http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int status, string_view reason, int version, error_code& ec) override;
  void on_field_impl(boost::beast::http::field name, string_view name_text, string_view value,
                     error_code& ec) override;
  void on_header_impl(error_code& ec) override { ec = error_code(); }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code& ec) override { ec = error_code(); }
  std::size_t on_body_impl(string_view bytes, error_code& ec) override;
  void on_chunk_header_impl(std::uint64_t, string_view, error_code& ec) override { ec = error_code(); }
  std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code& ec) override {
    return on_body_impl(bytes, ec);
  }
  void on_finish_impl(error_code& ec) override { ec = error_code(); }

  ClientResponse& response_;
};

}  // namespace drover::net
