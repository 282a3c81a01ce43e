#include "agent/verify/trust.h"

#include <algorithm>
#include "proto/wire/problem.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

// Roots, timestamp, snapshot, targets and every delegated role of a search: the walk has bounds of its own, this one
// only keeps a bug from becoming an endless loop.
constexpr int kMaxSteps = 1024;

// A metadata file may take as long as other requests and, for each of its bytes, as long as a slow link (GPRS) needs. So a
// server that drips does not hold a device for long over a timestamp, and a device on a bad link still gets a long list.
constexpr std::uint64_t kSlowestLink = 4096;  // bytes a second

Result<tuf::Assignment> parse_document(const std::string& document) {
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(document), tuf::kMaxAssignmentBytes));
  return tuf::parse_assignment(envelope);
}

// The document that was accepted before, read again; its expiry and nonce were looked at when it came.
Result<tuf::Assignment> reread(const tuf::Targets& targets, const Accepted& accepted, const std::string& device,
                               tuf::ForeignVerify foreign) {
  TRY_ASSIGN(const tuf::Assignment assignment, parse_document(accepted.document));
  tuf::AssignmentRules rules;
  rules.device_id = device;
  rules.last_version = accepted.version;
  rules.now = assignment.issued;
  auto verified = tuf::verify_assignment(targets, as_bytes(accepted.document), rules, foreign);
  if (verified) return verified;
  const Code code = verified.error().code();
  if (code != Code::unknown_key && code != Code::threshold_not_met) return verified;
  // It was the director's when it was accepted. A director has another key now and then; the next check-in brings the
  // same assignment signed by it.
  return Error(Code::unavailable, "the director's key has changed; waiting for an assignment that it signed");
}

}  // namespace

WallTime expiry_of(const std::string& document) {
  const auto assignment = parse_document(document);
  return assignment ? assignment->expires : WallTime::max();
}

Result<std::vector<update::Target>> targets_of(const tuf::Assignment& assignment) {
  std::vector<update::Target> targets;
  for (const auto& [path, assigned] : assignment.targets) {
    TRY_ASSIGN(const tuf::ReleaseName name, tuf::parse_release_name(path));
    const auto sha256 = assigned.hashes.find("sha256");
    if (sha256 == assigned.hashes.end()) return Error(Code::malformed, path + " is assigned without a SHA-256");
    update::Target target;
    target.model = name.model;
    target.release = name.version;
    target.deployment = assigned.deployment;
    target.package = assigned.variant.text();
    target.index = "sha256:" + sha256->second;
    target.index_size = assigned.length;
    target.release_counter = assigned.release_counter;
    target.rollback = assigned.rollback;
    targets.push_back(std::move(target));
  }
  return targets;
}

asio::awaitable<Result<Bytes>> Trust::get(tuf::NeedFile need) {
  net::ClientRequest request;
  request.target = "/api/v1/metadata/" + need.name;
  request.max_body = static_cast<std::size_t>(need.max_length);
  request.deadline = patience_ + std::chrono::seconds(need.max_length / kSlowestLink);
  auto answer = co_await client_.send(std::move(request));
  if (!answer) co_return std::move(answer).error().within("fetching " + need.name);
  if (!answer->ok()) co_return wire::decode_problem(answer->status, answer->body).within("fetching " + need.name);
  const ByteView body = as_bytes(answer->body);
  co_return Bytes(body.begin(), body.end());
}

Result<tuf::Refresh> Trust::begin(WallTime now) {
  auto refresh = tuf::Refresh::start(store_, now, foreign_);
  if (refresh || refresh.error().code() == Code::io) return refresh;  // what cannot be read just now is not damaged
  TRY(store_.restore_root(now, foreign_).within("restoring the trusted root (" + refresh.error().message() + ")"));
  return tuf::Refresh::start(store_, now, foreign_);
}

asio::awaitable<Status> Trust::walk(tuf::Refresh& refresh) {
  for (int i = 0; i < kMaxSteps; ++i) {
    tuf::RefreshStep step = refresh.next();
    if (std::holds_alternative<tuf::Done>(step)) co_return Status();
    if (Error* error = std::get_if<Error>(&step)) co_return std::move(*error);
    tuf::NeedFile need = std::get<tuf::NeedFile>(std::move(step));
    Result<Bytes> file = co_await get(std::move(need));
    refresh.feed(std::move(file));
  }
  co_return Error(Code::internal, "the metadata walk does not end");
}

std::optional<tuf::Timestamp> Trust::timestamp() {
  const auto bytes = store_.load(tuf::kTimestamp);
  if (!bytes) return std::nullopt;
  const auto envelope = tuf::parse_envelope(*bytes, tuf::kMaxTimestampBytes);
  if (!envelope) return std::nullopt;
  auto timestamp = tuf::parse_timestamp(*envelope);
  return timestamp ? std::optional(std::move(*timestamp)) : std::nullopt;
}

WallTime Trust::signed_time() {
  const auto held = timestamp();
  return held && held->issued ? vouched(*held->issued) : WallTime{};
}

WallTime Trust::timestamp_expires() {
  const auto held = timestamp();
  return held ? held->expires : WallTime{};
}

WallTime Trust::vouched(WallTime told) {
  const auto file = [&](std::string_view role) -> Result<tuf::Envelope> {
    TRY_ASSIGN(const Bytes bytes, store_.load(role));
    return tuf::parse_envelope(bytes, tuf::kMaxTargetsBytes);
  };
  const auto root_file = file(tuf::kRoot), targets_file = file(tuf::kTargets);
  if (!root_file || !targets_file) return {};
  const auto root = tuf::parse_root(*root_file);
  const auto targets = tuf::parse_targets(*targets_file);
  return root && targets ? std::min({told, root->expires, targets->expires}) : WallTime{};
}

asio::awaitable<Status> Trust::refresh(WallTime now) {
  CO_TRY_ASSIGN(tuf::Refresh refresh, begin(now));
  co_return co_await walk(refresh);
}

asio::awaitable<Result<Accepted>> Trust::accept(std::string document, Accepted held, std::string nonce, Now now) {
  Result<Accepted> accepted = co_await accept_at(document, held, nonce, now.time);
  if (accepted || now.sure || accepted.error().code() != Code::metadata_expired) co_return accepted;
  const auto told = parse_document(document);
  if (!told || told->issued >= now.time) co_return accepted;
  const WallTime time = std::max(told->issued, now.floor);
  co_return co_await accept_at(std::move(document), std::move(held), std::move(nonce), time);
}

asio::awaitable<Result<Accepted>> Trust::accept_at(std::string document, Accepted held, std::string nonce,
                                                   WallTime now) {
  CO_TRY_ASSIGN(tuf::Refresh refresh, begin(now));
  Status walked = co_await walk(refresh);
  if (!walked) co_return std::move(walked).error().within("refreshing metadata");
  const tuf::Targets* targets = refresh.trusted().targets();
  if (targets == nullptr) co_return Error(Code::internal, "no targets after a refresh");
  tuf::AssignmentRules rules;
  rules.device_id = device_.id;
  // A number is worth what the key is worth that signed it: whoever held a key that has been replaced may have used the
  // numbers up.
  if (reread(*targets, held, device_.id, foreign_)) rules.last_version = held.version;
  rules.nonce = nonce;
  rules.now = now;
  CO_TRY_ASSIGN(const tuf::Assignment assignment,
                tuf::verify_assignment(*targets, as_bytes(document), rules, foreign_));
  Accepted accepted;
  accepted.version = assignment.version;
  accepted.issued = assignment.issued;
  CO_TRY_ASSIGN(accepted.targets, targets_of(assignment));
  accepted.document = std::move(document);
  co_return accepted;
}

asio::awaitable<Status> Trust::agree(Accepted accepted, update::Target target, std::int64_t floor, WallTime now) {
  CO_TRY_ASSIGN(tuf::Refresh refresh, begin(now));
  Status walked = co_await walk(refresh);
  if (!walked) co_return std::move(walked).within("refreshing metadata");
  const tuf::Targets* targets = refresh.trusted().targets();
  if (targets == nullptr) co_return Error(Code::internal, "no targets after a refresh");
  CO_TRY_ASSIGN(const tuf::Assignment assignment, reread(*targets, accepted, device_.id, foreign_));
  const std::string path = target.model + "/" + target.release;
  const auto assigned = assignment.targets.find(path);
  if (assigned == assignment.targets.end()) co_return Error(Code::superseded, path + " is no longer assigned");
  refresh.find(path);
  walked = co_await walk(refresh);
  if (!walked) co_return std::move(walked).within("looking for " + path);
  tuf::AgreementRules rules;
  rules.kind = device_.kind;
  rules.counter_floor = floor;
  co_return tuf::check_agreement(assigned->second, refresh.found() ? &refresh.found()->target : nullptr, rules);
}

}  // namespace drover::agent
