#include "tests/integration/agent/fake_server.h"

#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/net/http_files.h"
#include "common/package/policy.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"

namespace drover::test {
namespace {

using namespace std::chrono_literals;

WallTime later() { return system_clock().wall() + 24h; }

net::Response json_answer(const nlohmann::json& body) { return net::Response(200, "application/json", body.dump()); }
net::Response refusal(Code code, const std::string& why) { return net::problem_response(Error(code, why)); }

boost::asio::awaitable<net::Response> ready(net::Response response) { co_return response; }

}  // namespace

PackageFiles small_package(const std::string& model_bytes, int deadline_seconds, const PackageFiles& extra) {
  package::PackagePolicy policy;
  policy.model_file = "model.onnx";
  policy.runtime = "onnx";
  policy.validation.timeout = 3s;
  policy.confirmation.deadline = std::chrono::seconds(deadline_seconds);
  policy.confirmation.healthy_reports = 2;
  policy.confirmation.max_restarts = 1;
  PackageFiles files{{"drover.json", package::print_policy(policy)}, {"model.onnx", model_bytes}};
  for (const auto& [path, bytes] : extra) files[path] = bytes;
  return files;
}

FakeServer::FakeServer(std::string kind) : kind_(std::move(kind)) {
  tuf::Document root = tuf::make_root(later());
  for (const char* role : {"root", "targets", "snapshot", "timestamp"})
    EXPECT_TRUE(tuf::add_root_key(root, role, tuf::make_key(key(role).public_key())));
  EXPECT_TRUE(root.sign(key("root")));
  metadata_["1.root.json"] = root.encode();
  roles_.emplace("targets", tuf::make_targets(later()));
  EXPECT_TRUE(
      tuf::set_delegation(roles_.at("targets"), tuf::director_delegation(tuf::make_key(key("director").public_key()))));
  publish_metadata();
  start(0);
}

FakeServer::~FakeServer() = default;

void FakeServer::start(std::uint16_t port) {
  net::HttpServerOptions options;
  options.threads = 1;
  net::Listen listen;
  listen.port = port;
  options.listen.push_back(listen);
  const auto handler = [this](net::Request& request) {
    const std::lock_guard guard(lock_);
    return ready(handle(request));
  };
  const auto plan = [](const net::Request&) { return net::BodyPlan{.limit = wire::kMaxCheckinBody}; };
  auto server = net::HttpServer::create(options, handler, {}, plan);
  ASSERT_TRUE(server) << server.error().message();
  http_ = std::move(*server);
  port_ = http_->port();
  http_->start();
}

std::string FakeServer::url() const { return "http://127.0.0.1:" + std::to_string(port_); }
std::string FakeServer::root() const { return metadata_.at("1.root.json"); }

void FakeServer::restart() {
  http_->stop(0ms);
  http_.reset();
  start(port_);
}

const crypto::KeyPair& FakeServer::key(const std::string& name) {
  const auto found = keys_.find(name);
  if (found != keys_.end()) return found->second;
  return keys_.emplace(name, crypto::KeyPair::generate(system_rng())).first->second;
}

const crypto::KeyPair& FakeServer::signer(const std::string& role) {
  const auto other = signers_.find(role);
  return key(other == signers_.end() ? role : other->second);
}

std::string FakeServer::add_blob(const std::string& bytes) {
  const std::string digest = crypto::sha256(bytes).text();
  folder_.write(digest, bytes);
  std::string corrupt = bytes;
  corrupt[0] = static_cast<char>(corrupt[0] ^ 1);
  folder_.write("corrupt-" + digest, corrupt);
  blobs_[digest] = bytes.size();
  return digest;
}

void FakeServer::publish_metadata() {
  tuf::MetaFiles files;
  for (auto& [name, document] : roles_) {
    if (role_versions_[name]++ != 0) document.bump(later());
    document.edit();  // signed by the present signer alone
    EXPECT_TRUE(document.sign(signer(name)));
    const std::string bytes = document.encode();
    metadata_[std::to_string(document.version()) + "." + name + ".json"] = bytes;
    files[name + ".json"] = *tuf::Document::describe(as_bytes(bytes));
  }
  tuf::Document snapshot = tuf::make_snapshot(++snapshot_version_, later(), files);
  EXPECT_TRUE(snapshot.sign(key("snapshot")));
  const std::string bytes = snapshot.encode();
  metadata_[std::to_string(snapshot_version_) + ".snapshot.json"] = bytes;
  tuf::Document timestamp =
      tuf::make_timestamp(snapshot_version_, later(), system_clock().wall(), *tuf::Document::describe(as_bytes(bytes)));
  EXPECT_TRUE(timestamp.sign(key("timestamp")));
  metadata_["timestamp.json"] = timestamp.encode();
}

Published FakeServer::publish(const std::string& model, const std::string& version, std::int64_t counter,
                              const PackageFiles& files) {
  const std::lock_guard guard(lock_);
  Published out{model, version, "", "", 0, counter, {}};
  package::Manifest manifest;
  for (const auto& [path, bytes] : files) {
    out.blobs[path] = add_blob(bytes);
    manifest.files.push_back({path, crypto::sha256(bytes), bytes.size(), std::string(package::kWeightLayer)});
  }
  package::ModelConfig about;
  about.name = model;
  about.version = version;
  about.format = "onnx";
  const std::string config = package::print_config(about);
  manifest.config.media_type = package::kConfigType;
  manifest.config.digest = crypto::sha256(config);
  manifest.config.size = config.size();
  add_blob(config);
  const std::string manifest_bytes = package::print_manifest(manifest);
  out.package = add_blob(manifest_bytes);
  package::Variant variant;
  variant.descriptor.media_type = package::kManifestType;
  variant.descriptor.artifact_type = package::kArtifactType;
  variant.descriptor.digest = crypto::sha256(manifest_bytes);
  variant.descriptor.size = manifest_bytes.size();
  variant.kind = kind_;
  variant.architecture = "amd64";
  package::Index index;
  index.model = model;
  index.version = version;
  index.variants.push_back(variant);
  const std::string index_bytes = package::print_index(index);
  out.index = add_blob(index_bytes);
  out.index_size = index_bytes.size();

  if (!roles_.contains(model)) {
    roles_.emplace(model, tuf::make_targets(later()));
    EXPECT_TRUE(tuf::set_delegation(roles_.at("targets"),
                                    tuf::model_delegation(model, {tuf::make_key(key(model).public_key())}, 1)));
  }
  tuf::Target target;
  target.length = index_bytes.size();
  target.hashes["sha256"] = crypto::sha256(index_bytes).hex();
  target.custom = tuf::release_custom_json({counter, {kind_}});
  EXPECT_TRUE(tuf::add_target(roles_.at(model), model + "/" + version, target));
  publish_metadata();
  return out;
}

void FakeServer::withdraw(const Published& release) {
  const std::lock_guard guard(lock_);
  EXPECT_TRUE(tuf::remove_target(roles_.at(release.model), release.model + "/" + release.version));
  publish_metadata();
}

void FakeServer::replace_manager(const std::string& model) {
  const std::lock_guard guard(lock_);
  signers_[model] = model + ", the next manager";
  EXPECT_TRUE(tuf::set_delegation(roles_.at("targets"),
                                  tuf::model_delegation(model, {tuf::make_key(signer(model).public_key())}, 1)));
  publish_metadata();
}

void FakeServer::let_removed_manager_sign(const std::string& model) {
  const std::lock_guard guard(lock_);
  signers_.erase(model);
}

void FakeServer::replace_director() {
  const std::lock_guard guard(lock_);
  signers_["director"] = "the next director";
  EXPECT_TRUE(tuf::set_delegation(roles_.at("targets"),
                                  tuf::director_delegation(tuf::make_key(signer("director").public_key()))));
  publish_metadata();
  ++assignment_.version;
}

void FakeServer::assign(const Published& release, const std::string& deployment, bool rollback) {
  const std::lock_guard guard(lock_);
  ++assignment_.version;
  std::erase_if(assignment_.targets, [&](const auto& each) { return each.first.starts_with(release.model + "/"); });
  tuf::AssignedTarget target;
  target.length = release.index_size;
  target.hashes["sha256"] = release.index.substr(7);
  target.kind = kind_;
  target.variant = *crypto::Digest::parse(release.package);
  target.release_counter = release.counter;
  target.deployment = deployment;
  target.rollback = rollback;
  assignment_.targets[release.model + "/" + release.version] = target;
  assignment_.device_id.clear();
  assignment_.expires = {};
  offer_ = true;
  offer_always_ = sign_with_other_key_ = false;
}

void FakeServer::assign_nothing() {
  const std::lock_guard guard(lock_);
  ++assignment_.version;
  assignment_.targets.clear();
  offer_ = true;
}

void FakeServer::forge(Forgery forgery) {
  const std::lock_guard guard(lock_);
  offer_always_ = true;
  sign_with_other_key_ = forgery == Forgery::other_key;
  if (forgery == Forgery::wrong_device) assignment_.device_id = "d" + std::string(32, '0');
  if (forgery == Forgery::expired) assignment_.expires = system_clock().wall() - 1h;
  if (forgery == Forgery::old_version)
    --assignment_.version;
  else
    ++assignment_.version;
  if (forgery == Forgery::wrong_length)
    for (auto& [path, target] : assignment_.targets) ++target.length;
}

std::string FakeServer::assignment_document(const std::string& nonce) {
  tuf::Assignment assignment = assignment_;
  assignment.issued = system_clock().wall();
  if (assignment.expires == WallTime{})
    assignment.expires = assignment.issued + life_;
  else
    assignment.issued = assignment.expires - 1h;
  if (assignment.device_id.empty()) assignment.device_id = device_id_;
  assignment.nonce = faults_.other_nonce ? std::string(nonce.size(), '0') : nonce;
  tuf::Document document = tuf::make_assignment(assignment);
  EXPECT_TRUE(document.sign(sign_with_other_key_ ? key("thief") : signer("director")));
  return document.encode();
}

std::vector<wire::Event> FakeServer::events() const {
  const std::lock_guard guard(lock_);
  return events_;
}
std::vector<wire::Installed> FakeServer::installed() const {
  const std::lock_guard guard(lock_);
  return installed_;
}
std::vector<std::uint64_t> FakeServer::report_counters() const {
  const std::lock_guard guard(lock_);
  return report_counters_;
}
std::string FakeServer::device_id() const {
  const std::lock_guard guard(lock_);
  return device_id_;
}
int FakeServer::stale_reports() const {
  const std::lock_guard guard(lock_);
  return stale_reports_;
}
void FakeServer::remember(std::uint64_t report_counter, std::uint64_t seq) {
  const std::lock_guard guard(lock_);
  report_floor_ = report_counter;
  seq_floor_ = seq;
}
int FakeServer::renewals() const {
  const std::lock_guard guard(lock_);
  return renewals_;
}
void FakeServer::first_assignment_life(std::chrono::seconds life) {
  const std::lock_guard guard(lock_);
  life_ = life;
}
int FakeServer::checkins() const {
  const std::lock_guard guard(lock_);
  return checkins_;
}
int FakeServer::sessions() const {
  const std::lock_guard guard(lock_);
  return sessions_;
}
std::vector<std::string> FakeServer::blob_requests() const {
  const std::lock_guard guard(lock_);
  return blob_requests_;
}
void FakeServer::set(const Faults& faults) {
  const std::lock_guard guard(lock_);
  if (faults.forget_sessions) ++token_;
  faults_ = faults;
}

net::Response FakeServer::handle(const net::Request& request) {
  const std::string path(request.path);
  if (path == "/api/v1/device/challenge") return json_answer({{"challenge", "prove it"}});
  if (path == "/api/v1/device/session") return session(request);
  if (path.starts_with("/api/v1/metadata/")) {
    const auto found = metadata_.find(path.substr(17));
    if (found == metadata_.end()) return refusal(Code::not_found, path);
    return net::Response(200, "application/json", found->second);
  }
  if (request.bearer() != "token-" + std::to_string(token_)) return refusal(Code::unauthenticated, "no such session");
  if (path == "/api/v1/device/checkin") return checkin(request);
  if (path.starts_with("/api/v1/blobs/")) return blob(request, path.substr(14));
  return refusal(Code::not_found, path);
}

net::Response FakeServer::session(const net::Request& request) {
  const auto asked = wire::decode_session_request(request.body);
  if (!asked) return net::problem_response(asked.error());
  device_key_ = *crypto::parse_public_key(asked->public_key);
  const auto signature = from_hex(asked->signature);
  const std::string proved = std::string(wire::kSessionContext) + "prove it";
  if (asked->challenge != "prove it" || !signature || !crypto::verify(device_key_, as_bytes(proved), *signature))
    return refusal(Code::unauthenticated, "the signature is wrong");
  if (faults_.pending) return refusal(Code::pending, "waits for an operator");
  device_id_ = crypto::device_id(device_key_);
  ++sessions_;
  return json_answer(wire::encode(wire::SessionAnswer{device_id_, "token-" + std::to_string(token_), later(), 1}));
}

net::Response FakeServer::checkin(const net::Request& request) {
  ++checkins_;
  if (faults_.refuse_with != 0) return net::problem_response(faults_.refuse_with, Code::unavailable, "not now");
  const auto asked = wire::decode_checkin_request(request.body);
  if (!asked) return net::problem_response(asked.error());
  wire::CheckinAnswer answer;
  answer.poll_seconds = 1;
  if (asked->report) {
    const auto signature = from_hex(asked->report->signature);
    const std::string text = std::string(wire::kReportContext) + asked->report->payload;
    if (!signature || !crypto::verify(device_key_, as_bytes(text), *signature))
      return refusal(Code::unauthenticated, "the report's signature is wrong");
    const auto report = wire::decode_report(asked->report->payload);
    if (!report) return net::problem_response(report.error());
    if (report->counter <= report_floor_) {
      ++stale_reports_;
      answer.report_floor = report_floor_;
      answer.acked_seq = seq_floor_;
      return json_answer(wire::encode(answer));
    }
    report_floor_ = report->counter;
    report_counters_.push_back(report->counter);
    for (const wire::Event& event : report->events) {
      if (!faults_.lose_acknowledgements) answer.acked_seq = event.seq;
      if (events_.empty() || event.seq > events_.back().seq) events_.push_back(event);
    }
    installed_ = report->installed;
  }
  if (asked->renew_assignment && asked->assignment_version == assignment_.version) {
    ++renewals_;
    ++assignment_.version;
    life_ = kAssignmentLife;
  }
  const bool news = offer_ && asked->assignment_version < assignment_.version;
  if (news || offer_always_) answer.assignment = assignment_document(asked->nonce);
  return json_answer(wire::encode(answer));
}

net::Response FakeServer::blob(const net::Request& request, const std::string& digest) {
  blob_requests_.push_back(digest + " " + std::string(request.header("range")));
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return refusal(Code::not_found, digest);
  const bool faulty = found->second > faults_.only_larger_than;
  const std::string name = faulty && faults_.corrupt_blobs ? "corrupt-" + digest : digest;
  std::string etag = "\"" + digest + "\"";
  if (faulty && faults_.other_etag) etag = "\"" + std::to_string(++etags_) + "\"";
  net::Response response =
      net::file_response(request, *net::File::open(folder_ / name), found->second, etag, "application/octet-stream");
  auto* body = std::get_if<net::FileBody>(&response.body);
  if (body == nullptr || !faulty) return response;
  if (faults_.ignore_ranges && response.status == 206) {
    net::Response whole(200);
    whole.headers.add("ETag", etag);
    whole.body = net::FileBody{body->file, 0, found->second};
    return whole;
  }
  if (faults_.add_to_length != 0) {
    response.status = 200;
    body->offset = 0;
    body->length = found->second + faults_.add_to_length;
  }
  if (faults_.cut_blobs_after != 0 && body->length > faults_.cut_blobs_after) {
    // A file that ends early makes the server cut the connection.
    const std::string part = folder_.read(digest).substr(0, body->offset + faults_.cut_blobs_after);
    body->file = *net::File::open(folder_.write("cut", part));
  }
  return response;
}

}  // namespace drover::test
