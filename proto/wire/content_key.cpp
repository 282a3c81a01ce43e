#include "proto/wire/content_key.h"

#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::wire {
namespace {

constexpr std::string_view kContext = "drover-content-key-v1\n";
constexpr std::size_t kMaxDigest = 80;
constexpr std::size_t kMaxHexKey = 64;
constexpr std::size_t kMaxHexSignature = 128;
constexpr std::size_t kMaxSealed = 1024;

}  // namespace

std::string content_key_message(std::string_view package, std::string_view box_key) {
  std::string message(kContext);
  message += package;
  message += '\n';
  message += box_key;
  return message;
}

nlohmann::json encode(const HandedContentKey& key) {
  return {{"wrapping_key", key.wrapping_key}, {"sealed", key.sealed}};
}

nlohmann::json encode(const ContentKeyRequest& request) {
  return {{"package", request.package}, {"box_key", request.box_key}, {"signature", request.signature}};
}

nlohmann::json encode(const ContentKeyAnswer& answer) { return {{"sealed", answer.sealed}}; }

Result<HandedContentKey> decode_handed_content_key(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxContentKeyBody));
  json::Reader in(document);
  in.allow_unknown();
  HandedContentKey key;
  key.wrapping_key = in.text("wrapping_key", kMaxHexKey);
  key.sealed = in.text("sealed", kMaxSealed);
  TRY(in.finish());
  return key;
}

Result<ContentKeyRequest> decode_content_key_request(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxContentKeyBody));
  json::Reader in(document);
  in.allow_unknown();
  ContentKeyRequest request;
  request.package = in.text("package", kMaxDigest);
  request.box_key = in.text("box_key", kMaxHexKey);
  request.signature = in.text("signature", kMaxHexSignature);
  TRY(in.finish());
  return request;
}

Result<ContentKeyAnswer> decode_content_key_answer(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxContentKeyBody));
  json::Reader in(document);
  in.allow_unknown();
  ContentKeyAnswer answer;
  answer.sealed = in.text("sealed", kMaxSealed);
  TRY(in.finish());
  return answer;
}

}  // namespace drover::wire
