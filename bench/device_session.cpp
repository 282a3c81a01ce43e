// Enrols a new device and checks in until there is nothing new for it. Prints what an idle check-in then needs, a line
// each: device id, session token, body.
//   device_session BASE_URL CA_FILE ENROLMENT_TOKEN KIND
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/base/bytes.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/hash.h"
#include "common/net/http_client.h"
#include "proto/wire/device.h"

namespace {

using namespace drover;

// A fleet without rollouts has nothing to say after the second check-in.
constexpr int kMaxCheckins = 5;

Result<std::string> post(net::BlockingHttpClient& client, std::string target, std::string body, std::string_view token) {
  net::ClientRequest request;
  request.method = net::Method::post;
  request.target = std::move(target);
  request.body = std::move(body);
  request.headers.add("Content-Type", "application/json");
  if (!token.empty()) request.headers.add("Authorization", "Bearer " + std::string(token));
  TRY_ASSIGN(net::ClientResponse response, client.send(std::move(request)));
  if (!response.ok()) return Error(Code::unavailable, std::to_string(response.status) + ": " + response.body);
  return std::move(response.body);
}

Status run(char** argv) {
  net::ClientOptions options;
  options.base_url = argv[1];
  options.tls.authority = argv[2];
  TRY_ASSIGN(const auto client, net::BlockingHttpClient::create(options));
  const auto key = crypto::KeyPair::generate(system_rng());
  TRY_ASSIGN(const std::string challenge, post(*client, "/api/v1/device/challenge", "{}", ""));
  wire::SessionRequest session;
  session.public_key = to_hex(key.public_key());
  session.challenge = nlohmann::json::parse(challenge).at("challenge").get<std::string>();
  session.signature = to_hex(key.sign(std::string(wire::kSessionContext) + session.challenge));
  session.enrolment_token = argv[3];
  session.name = "bench";
  session.kind = argv[4];
  TRY_ASSIGN(const std::string opened,
             post(*client, "/api/v1/device/session", wire::encode(session).dump(), ""));
  TRY_ASSIGN(const wire::SessionAnswer answer, wire::decode_session_answer(opened));
  std::string token = answer.token;
  wire::CheckinRequest checkin;
  checkin.identity_digest =
      crypto::sha256(wire::canonical_identity(session.name, session.kind, session.attributes)).hex().substr(0, 16);
  nlohmann::json body = {{"assignment_version", 0}, {"identity_digest", checkin.identity_digest}};
  for (int i = 0; i < kMaxCheckins; ++i) {
    TRY_ASSIGN(const std::string text, post(*client, "/api/v1/device/checkin", body.dump(), token));
    TRY_ASSIGN(const wire::CheckinAnswer news, wire::decode_checkin_answer(text));
    if (!news.assignment.empty()) body["assignment_version"] = nlohmann::json::parse(news.assignment).at("signed").at("version");
    if (news.token.empty() && news.assignment.empty()) {
      std::printf("%s\n%s\n%s\n", answer.device_id.c_str(), token.c_str(), body.dump().c_str());
      return {};
    }
    if (!news.token.empty()) token = news.token;
  }
  return Error(Code::conflict, "the server has something new at every check-in");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const Status done = run(argv);
  if (!done) std::fprintf(stderr, "device_session: %s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
