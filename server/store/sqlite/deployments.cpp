#include <charconv>

#include "server/store/sqlite/tables.h"

namespace drover::store {
namespace {

constexpr std::string_view kPrefix = "dep-";
constexpr std::string_view kBack = "-back";

}  // namespace

std::string deployment_id(std::int64_t no, bool back) {
  std::string id(kPrefix);
  id += std::to_string(no);
  if (back) id += kBack;
  return id;
}

std::optional<DeploymentName> parse_deployment_id(std::string_view id) {
  if (!id.starts_with(kPrefix)) return std::nullopt;
  id.remove_prefix(kPrefix.size());
  DeploymentName name;
  name.back = id.ends_with(kBack);
  if (name.back) id.remove_suffix(kBack.size());
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), name.no);
  if (error != std::errc() || end != id.data() + id.size() || name.no <= 0) return std::nullopt;
  return name;
}

namespace sqlite {
namespace {

constexpr std::string_view kColumns =
    "p.deployment_no, p.device_no, p.rollout_no, p.stage, p.model, p.release, p.previous, p.standing, p.activated, "
    "p.return_ended, p.step, p.code, p.detail, p.bytes_fetched, p.bytes_resumed, p.offered_at, p.offered_watched, "
    "p.updated_at, p.bytes_saved";
constexpr int kColumnCount = 19;

Deployment read_row(const db::Statement& row) {
  Deployment out;
  out.no = row.integer(0);
  out.device_no = row.integer(1);
  out.rollout_no = row.integer(2);
  out.stage = static_cast<std::int32_t>(row.integer(3));
  out.model = row.string(4);
  out.release = row.string(5);
  out.previous = row.string(6);
  out.standing = static_cast<rollout::Standing>(row.integer(7));
  out.activated = row.integer(8) != 0;
  out.return_ended = row.integer(9) != 0;
  out.step = row.string(10);
  out.code = static_cast<Code>(row.integer(11));
  out.detail = row.string(12);
  out.bytes_fetched = static_cast<std::uint64_t>(row.integer(13));
  out.bytes_resumed = static_cast<std::uint64_t>(row.integer(14));
  out.offered_at = at(row.integer(15));
  out.offered_watched = std::chrono::seconds(row.integer(16));
  out.updated_at = at(row.integer(17));
  out.bytes_saved = static_cast<std::uint64_t>(row.integer(18));
  return out;
}

Result<std::vector<Deployment>> read_all(db::Statement& row) {
  std::vector<Deployment> all;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return all;
    all.push_back(read_row(row));
  }
}

std::string select(std::string_view rest) {
  return "SELECT " + std::string(kColumns) + " FROM deployment p " + std::string(rest);
}

}  // namespace

Result<std::optional<Deployment>> SqliteDeployments::find(std::int64_t no) const {
  static const std::string sql = select("WHERE p.deployment_no = ?");
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  row.bind(no);
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<Deployment>();
  return std::optional<Deployment>(read_row(row));
}

Result<std::vector<Deployment>> SqliteDeployments::of_device(DeviceNo device, std::size_t limit) const {
  static const std::string sql = select("WHERE p.device_no = ? ORDER BY p.rollout_no DESC LIMIT ?");
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  row.bind(device, static_cast<std::int64_t>(limit));
  return read_all(row);
}

Result<std::vector<DeploymentOfDevice>> SqliteDeployments::of_rollout(std::int64_t rollout, std::int64_t after,
                                                                      std::size_t limit) const {
  static const std::string sql =
      "SELECT " + std::string(kColumns) +
      ", d.id, d.name FROM deployment p JOIN device d ON d.device_no = p.device_no "
      "WHERE p.rollout_no = ? AND p.deployment_no > ? ORDER BY p.deployment_no LIMIT ?";
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  row.bind(rollout, after, static_cast<std::int64_t>(limit));
  std::vector<DeploymentOfDevice> all;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return all;
    all.push_back({read_row(row), row.string(kColumnCount), row.string(kColumnCount + 1)});
  }
}

Result<std::vector<Deployment>> SqliteDeployments::silent(std::int64_t rollout, std::int32_t stage,
                                                          std::chrono::seconds watched, std::size_t limit) const {
  static const std::string sql =
      select("WHERE p.rollout_no = ? AND p.stage = ? AND p.standing = ? AND p.offered_watched <= ? LIMIT ?");
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  row.bind(rollout, stage, static_cast<std::int64_t>(rollout::Standing::in_flight),
           static_cast<std::int64_t>(watched.count()), static_cast<std::int64_t>(limit));
  return read_all(row);
}

Status SqliteDeployments::insert(Deployment& deployment) {
  TRY(db_.run("INSERT INTO deployment(device_no, rollout_no, stage, model, release, previous, standing, offered_at, "
              "offered_watched, updated_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
              deployment.device_no, deployment.rollout_no, deployment.stage, deployment.model, deployment.release,
              deployment.previous, static_cast<std::int64_t>(deployment.standing), seconds(deployment.offered_at),
              static_cast<std::int64_t>(deployment.offered_watched.count()), seconds(deployment.updated_at)));
  deployment.no = db_.last_insert_id();
  return {};
}

Status SqliteDeployments::update(const Deployment& deployment) {
  return db_.run("UPDATE deployment SET previous = ?, standing = ?, activated = ?, return_ended = ?, step = ?, code = ?, "
                 "detail = ?, bytes_fetched = ?, bytes_resumed = ?, bytes_saved = ?, updated_at = ? WHERE deployment_no = ?",
                 deployment.previous, static_cast<std::int64_t>(deployment.standing), deployment.activated,
                 deployment.return_ended, deployment.step, static_cast<std::int64_t>(deployment.code), deployment.detail,
                 deployment.bytes_fetched, deployment.bytes_resumed, deployment.bytes_saved,
                 seconds(deployment.updated_at), deployment.no);
}

}  // namespace sqlite
}  // namespace drover::store
