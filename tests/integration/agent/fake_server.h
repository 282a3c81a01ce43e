// A small server for the agent's tests: real HTTP, real signatures, everything in memory, and faults on demand.
// Its handlers run on a thread of the HTTP server; the public functions lock.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/crypto/ed25519.h"
#include "common/net/http_server.h"
#include "common/package/manifest.h"
#include "common/tuf/author.h"
#include "proto/wire/device.h"
#include "tests/support/temp_folder.h"

namespace drover::test {

using PackageFiles = std::map<std::string, std::string>;  // path -> bytes

struct Published {
  std::string model, version;
  std::string package;  // "sha256:<manifest>"
  std::string index;
  std::uint64_t index_size = 0;
  std::int64_t counter = 0;
  std::map<std::string, std::string> blobs;  // path -> digest
};

class FakeServer {
 public:
  explicit FakeServer(std::string kind = "kiosk-x64");
  ~FakeServer();

  std::string url() const;
  std::string root() const;  // root.json, version 1
  // Stops and starts again on the same port.
  void restart();

  Published publish(const std::string& model, const std::string& version, std::int64_t counter,
                    const PackageFiles& files);
  // Takes the release from its model's role.
  void withdraw(const Published& release);

  // Another person signs the model's releases from now on; the one before is removed, and what is listed is signed
  // anew.
  void replace_manager(const std::string& model);
  // What is published of the model from now on is signed by the removed one after all: a stolen server lets it pass.
  void let_removed_manager_sign(const std::string& model);
  // The director has another key, and signs the present assignment anew.
  void replace_director();

  // What the device gets from its next check-in on.
  void assign(const Published& release, const std::string& deployment, bool rollback = false);
  void assign_nothing();
  // The last assignment once more, changed before it is signed (or signed by another key).
  enum class Forgery { wrong_device, other_key, expired, wrong_length, old_version };
  void forge(Forgery forgery);

  std::vector<wire::Event> events() const;
  std::vector<wire::Installed> installed() const;
  int checkins() const;
  int sessions() const;
  // Digests in the order in which they were asked for, with the Range header.
  std::vector<std::string> blob_requests() const;
  // Counters of the reports that were taken, and of those that were not since they did not go on.
  std::vector<std::uint64_t> report_counters() const;
  int stale_reports() const;
  std::string device_id() const;
  // As a server that knows reports and events up to these: a device's disk was brought back from a copy.
  void remember(std::uint64_t report_counter, std::uint64_t seq);
  int renewals() const;
  // Of assignments until one is renewed.
  void first_assignment_life(std::chrono::seconds life);

  // Faults, each until it is changed.
  struct Faults {
    std::uint64_t cut_blobs_after = 0;  // bytes of an answer, then the connection breaks; 0: never
    bool ignore_ranges = false;
    bool other_etag = false;          // with each answer another one
    std::uint64_t add_to_length = 0;  // the announced size is wrong by so much
    bool corrupt_blobs = false;       // the first byte is another one
    bool pending = false;
    bool lose_acknowledgements = false;     // reports are stored, and the answer says nothing of it
    bool forget_sessions = false;           // every token is refused once
    bool other_nonce = false;               // the assignment answers another question
    int refuse_with = 0;                    // this status for check-ins
    std::uint64_t only_larger_than = 4096;  // blob faults spare small documents
  };
  void set(const Faults& faults);

 private:
  net::Response handle(const net::Request& request);
  net::Response session(const net::Request& request);
  net::Response checkin(const net::Request& request);
  net::Response blob(const net::Request& request, const std::string& digest);
  std::string assignment_document(const std::string& nonce);
  std::string add_blob(const std::string& bytes);
  void publish_metadata();
  const crypto::KeyPair& key(const std::string& name);
  const crypto::KeyPair& signer(const std::string& role);
  void start(std::uint16_t port);

  mutable std::mutex lock_;
  std::string kind_;
  TempFolder folder_;
  std::unique_ptr<net::HttpServer> http_;
  std::uint16_t port_ = 0;
  std::map<std::string, crypto::KeyPair> keys_;
  std::map<std::string, tuf::Document> roles_;
  std::map<std::string, std::string> metadata_;
  std::int64_t snapshot_version_ = 0;
  std::map<std::string, std::int64_t> role_versions_;
  std::map<std::string, std::string> signers_;  // role -> name of its key, where that is not the role's own
  std::map<std::string, std::uint64_t> blobs_;
  std::string device_id_;
  crypto::PublicKey device_key_{};
  tuf::Assignment assignment_;
  bool sign_with_other_key_ = false;
  bool offer_ = false;
  bool offer_always_ = false;
  std::vector<wire::Event> events_;
  std::vector<wire::Installed> installed_;
  std::vector<std::string> blob_requests_;
  std::vector<std::uint64_t> report_counters_;
  std::uint64_t report_floor_ = 0, seq_floor_ = 0;
  int stale_reports_ = 0, renewals_ = 0;
  static constexpr std::chrono::hours kAssignmentLife{24};
  std::chrono::seconds life_ = kAssignmentLife;
  int checkins_ = 0, sessions_ = 0, token_ = 0, etags_ = 0;
  Faults faults_;
};

// The least of a package: a policy and a model; `extra` replaces or adds.
PackageFiles small_package(const std::string& model_bytes, int deadline_seconds = 5, const PackageFiles& extra = {});

}  // namespace drover::test
