// Internal: the tables over one SQLite connection. They hold nothing but the connection.
#pragma once

#include "common/db/connection.h"
#include "server/store/store.h"

namespace drover::store::sqlite {

inline WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }
inline std::int64_t seconds(WallTime time) { return time.time_since_epoch().count(); }

class SqliteDevices final : public Devices {
 public:
  explicit SqliteDevices(db::Connection& db) : db_(db) {}
  Result<std::optional<Device>> find(DeviceNo no) const override;
  Result<std::optional<Device>> find_id(std::string_view id) const override;
  Result<std::vector<Device>> list(const DeviceFilter& filter, DeviceNo after, std::size_t limit) const override;
  Result<std::int64_t> count(const DeviceFilter& filter, std::int64_t limit) const override;
  Result<std::vector<KindCount>> kinds() const override;
  Result<std::int64_t> count_state(fleet::DeviceState state) const override;
  Result<std::int64_t> count_sample(const fleet::Group& group, std::string_view kind,
                                    std::int64_t sample) const override;
  Result<std::int64_t> count_below(const fleet::Group& group, std::string_view kind, std::string_view salt,
                                   std::uint64_t threshold) const override;
  Result<std::optional<std::uint64_t>> bucket_of(const fleet::Group& group, std::string_view kind,
                                                 std::string_view salt, std::int64_t k) const override;
  Result<std::vector<wire::Installed>> installed(DeviceNo no) const override;
  Result<std::vector<ReleaseCount>> releases_run(std::string_view model, std::size_t limit) const override;
  Result<std::optional<StoredAssignment>> assignment(DeviceNo no) const override;
  Result<std::vector<StoredEvent>> events(DeviceNo no, std::size_t limit) const override;
  Result<DeviceNo> insert(const Device& device) override;
  Status set_state(const Device& device, fleet::DeviceState state, WallTime at) override;
  Status set_identity(const Device& before, const fleet::DeviceView& view, std::string_view digest) override;
  Status set_name(DeviceNo no, std::string_view name) override;
  Status change_tags(DeviceNo no, std::span<const std::string> add, std::span<const std::string> remove) override;
  Status set_acked(DeviceNo no, std::uint64_t seq) override;
  Status set_report(DeviceNo no, const TakenReport& report, WallTime at) override;
  Status add_conflict(DeviceNo no, WallTime at) override;
  Status touch(std::span<const DeviceNo> devices, WallTime at) override;
  Status replace_installed(DeviceNo no, std::span<const wire::Installed> installed) override;
  Status put_assignment(DeviceNo no, const StoredAssignment& assignment) override;
  Status add_event(DeviceNo no, const wire::Event& event, WallTime at) override;

 private:
  Result<std::optional<Device>> read_one(db::Statement& statement) const;
  Status read_details(Device& device) const;
  Status write_attributes(DeviceNo no, const wire::Attributes& attributes);
  Status move_kind(std::string_view kind, fleet::DeviceState state, int by);
  db::Connection& db_;
};

class SqliteGroups final : public Groups {
 public:
  explicit SqliteGroups(db::Connection& db) : db_(db) {}
  Result<std::vector<GroupRow>> all() const override;
  Status insert(const GroupRow& group) override;
  Status update(const GroupRow& group) override;
  Status remove(std::string_view name) override;

 private:
  Status write_members(const GroupRow& group);
  db::Connection& db_;
};

class SqliteReleases final : public Releases {
 public:
  explicit SqliteReleases(db::Connection& db) : db_(db) {}
  Result<std::vector<ReleaseRow>> all() const override;
  Status insert(const ReleaseRow& release) override;
  Status update(const ReleaseRow& release) override;
  Result<std::optional<ContentKeyRow>> content_key(std::string_view package) const override;
  Status put_content_key(const ContentKeyRow& key) override;

 private:
  db::Connection& db_;
};

class SqliteMetadata final : public Metadata {
 public:
  explicit SqliteMetadata(db::Connection& db) : db_(db) {}
  Result<std::optional<MetadataRow>> find(std::string_view role, std::int64_t version) const override;
  Result<std::optional<MetadataRow>> latest(std::string_view role) const override;
  Result<std::vector<MetadataRow>> current() const override;
  Status insert(const MetadataRow& file) override;
  Status forget_below(std::string_view role, std::int64_t version) override;

 private:
  db::Connection& db_;
};

class SqliteRollouts final : public Rollouts {
 public:
  explicit SqliteRollouts(db::Connection& db) : db_(db) {}
  Result<std::optional<RolloutRow>> find(std::string_view id) const override;
  Result<std::optional<RolloutRow>> find_no(std::int64_t no) const override;
  Result<std::vector<RolloutRow>> list(std::int64_t before, std::size_t limit) const override;
  Result<std::vector<RolloutRow>> live() const override;
  Result<rollout::RolloutState> state(std::int64_t no) const override;
  Result<bool> group_in_use(std::string_view group) const override;
  Status insert(RolloutRow& rollout) override;
  Status update(const RolloutRow& rollout) override;
  Status add_savings(std::int64_t no, const wire::Savings& more) override;

 private:
  Status retire(std::string_view model);
  db::Connection& db_;
};

class SqliteDeployments final : public Deployments {
 public:
  explicit SqliteDeployments(db::Connection& db) : db_(db) {}
  Result<std::optional<Deployment>> find(std::int64_t no) const override;
  Result<std::vector<Deployment>> of_device(DeviceNo device, std::size_t limit) const override;
  Result<std::vector<DeploymentOfDevice>> of_rollout(std::int64_t rollout, std::int64_t after,
                                                     std::size_t limit) const override;
  Result<std::vector<Deployment>> silent(std::int64_t rollout, std::int32_t stage, std::chrono::seconds watched,
                                         std::size_t limit) const override;
  Status insert(Deployment& deployment) override;
  Status update(const Deployment& deployment) override;

 private:
  db::Connection& db_;
};

class SqliteTokens final : public Tokens {
 public:
  explicit SqliteTokens(db::Connection& db) : db_(db) {}
  Result<std::vector<TokenRow>> all() const override;
  Status insert(const TokenRow& token) override;
  Result<bool> remove(std::string_view id) override;

 private:
  db::Connection& db_;
};

class SqliteEnrolmentTokens final : public EnrolmentTokens {
 public:
  explicit SqliteEnrolmentTokens(db::Connection& db) : db_(db) {}
  Result<std::vector<EnrolmentTokenRow>> all() const override;
  Result<std::optional<EnrolmentTokenRow>> find_hash(std::string_view hash) const override;
  Status insert(const EnrolmentTokenRow& token) override;
  Status use(std::string_view id) override;
  Result<bool> remove(std::string_view id) override;

 private:
  db::Connection& db_;
};

class SqliteAudit final : public AuditLog {
 public:
  explicit SqliteAudit(db::Connection& db) : db_(db) {}
  Result<std::vector<wire::AuditEntry>> list(std::int64_t after, std::size_t limit) const override;
  Result<audit::Head> head() const override;
  Status insert(const wire::AuditEntry& entry) override;

 private:
  db::Connection& db_;
};

class SqliteAnswers final : public Answers {
 public:
  explicit SqliteAnswers(db::Connection& db) : db_(db) {}
  Result<std::optional<KeptAnswer>> find(std::string_view actor, std::string_view key) const override;
  Status insert(std::string_view actor, std::string_view key, const KeptAnswer& answer, WallTime at) override;
  Status forget_before(WallTime at) override;

 private:
  db::Connection& db_;
};

class SqliteUploads final : public Uploads {
 public:
  explicit SqliteUploads(db::Connection& db) : db_(db) {}
  Result<std::optional<UploadRow>> find(std::string_view id) const override;
  Result<std::optional<UploadRow>> find_digest(std::string_view digest) const override;
  Result<std::int64_t> count() const override;
  Result<std::vector<UploadRow>> older_than(WallTime at, std::size_t limit) const override;
  Status insert(const UploadRow& upload) override;
  Status set_stored(std::string_view id, std::uint64_t stored) override;
  Status remove(std::string_view id) override;

 private:
  db::Connection& db_;
};

// All of them over one connection.
struct Tables {
  explicit Tables(db::Connection& db)
      : devices(db), groups(db), releases(db), metadata(db), rollouts(db), deployments(db), tokens(db),
        enrolment_tokens(db), audit(db), answers(db), uploads(db) {}
  SqliteDevices devices;
  SqliteGroups groups;
  SqliteReleases releases;
  SqliteMetadata metadata;
  SqliteRollouts rollouts;
  SqliteDeployments deployments;
  SqliteTokens tokens;
  SqliteEnrolmentTokens enrolment_tokens;
  SqliteAudit audit;
  SqliteAnswers answers;
  SqliteUploads uploads;

  Reader reader() const {
    return {devices, groups,           releases, metadata, rollouts, deployments,
            tokens,  enrolment_tokens, audit,    answers,  uploads};
  }
};

}  // namespace drover::store::sqlite
