#include <algorithm>
#include <boost/beast/http/error.hpp>

#include "common/net/parser_impl.h"

namespace drover::net {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kUsualHeader = 1024;

Method to_method(http::verb verb) {
  switch (verb) {
    case http::verb::get: return Method::get;
    case http::verb::head: return Method::head;
    case http::verb::post: return Method::post;
    case http::verb::put: return Method::put;
    case http::verb::patch: return Method::patch;
    case http::verb::delete_: return Method::del;
    case http::verb::options: return Method::options;
    default: return Method::other;
  }
}

// "http://host/path" (which every server must take) to "/path".
std::string_view origin_form(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const std::size_t slash = target.find('/', scheme.size());
    return slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  return target;
}

}  // namespace

RequestBuilder::RequestBuilder(Request& request, std::uint64_t body_limit) : request_(request), limit_(body_limit) {
  request_.method = Method::other;
  request_.target = request_.path = request_.query = {};
  request_.storage_.clear();
  request_.storage_.reserve(kUsualHeader);
  request_.fields_.clear();
  request_.body.clear();
  request_.bearer_ = {};
  request_.content_length = 0;
  request_.stream = nullptr;
  request_.context.reset();
  this->body_limit(boost::none);  // on_body_impl has the limit of the route
}

void RequestBuilder::on_request_impl(http::verb method, string_view, string_view target, int version, error_code& ec) {
  ec = error_code();
  version_ = static_cast<unsigned>(version);
  request_.method = to_method(method);
  const std::string_view path = origin_form(std::string_view(target.data(), target.size()));
  target_ok_ = path.starts_with('/') || (path == "*" && request_.method == Method::options);
  request_.storage_.append(path);
  target_size_ = static_cast<std::uint32_t>(path.size());
}

void RequestBuilder::on_field_impl(field name, string_view name_text, string_view value, error_code& ec) {
  ec = error_code();
  std::string& storage = request_.storage_;
  Request::Span span;
  span.name = static_cast<std::uint32_t>(storage.size());
  span.name_size = static_cast<std::uint32_t>(name_text.size());
  storage.append(name_text.data(), name_text.size());
  span.value = static_cast<std::uint32_t>(storage.size());
  span.value_size = static_cast<std::uint32_t>(value.size());
  storage.append(value.data(), value.size());
  request_.fields_.push_back(span);
  if (name == field::host) ++hosts_;
  if (name == field::authorization && value.size() > 7 && same_header({value.data(), 7}, "Bearer ")) {
    bearer_ = span.value + 7;
    bearer_size_ = span.value_size - 7;
  }
  if (name == field::expect) {
    expects_continue_ = same_header({value.data(), value.size()}, "100-continue");
    unknown_expectation_ = !expects_continue_;
  }
}

void RequestBuilder::on_header_impl(error_code& ec) {
  ec = error_code();
  const std::string_view storage = request_.storage_;
  request_.target = storage.substr(0, target_size_);
  request_.path = request_.target.substr(0, request_.target.find('?'));
  request_.query = request_.target.substr(std::min(request_.target.size(), request_.path.size() + 1));
  request_.bearer_ = storage.substr(bearer_, bearer_size_);
  if (const auto length = content_length()) request_.content_length = *length;
}

std::size_t RequestBuilder::on_body_impl(string_view body, error_code& ec) {
  ec = error_code();
  received_ += body.size();
  if (received_ > limit_) {
    ec = http::error::body_limit;
    return 0;
  }
  request_.body.append(body.data(), body.size());
  return body.size();
}

ResponseBuilder::ResponseBuilder(ClientResponse& response) : response_(response) {
  response_.headers.clear();
  this->body_limit(boost::none);  // the reader of the answer has its own limits
}

void ResponseBuilder::on_response_impl(int status, string_view, int, error_code& ec) {
  ec = error_code();
  response_.status = status;
}

void ResponseBuilder::on_field_impl(http::field, string_view name_text, string_view value, error_code& ec) {
  ec = error_code();
  response_.headers.add({name_text.data(), name_text.size()}, {value.data(), value.size()});
}

std::size_t ResponseBuilder::on_body_impl(string_view bytes, error_code& ec) {
  ec = error_code();
  body.append(bytes.data(), bytes.size());
  return bytes.size();
}

}  // namespace drover::net
