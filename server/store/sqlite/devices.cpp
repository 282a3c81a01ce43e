#include <algorithm>

#include "server/fleet/value.h"
#include "server/store/sqlite/tables.h"

namespace drover::store::sqlite {
namespace {

constexpr std::string_view kColumns =
    "d.device_no, d.id, d.public_key, d.name, d.kind, d.state, d.enrolled_at, d.last_seen, d.identity_digest, "
    "d.acked_seq, "
    "d.report_counter, d.report_digest, d.report_conflicts, d.conflict_at";

Device read_row(const db::Statement& row) {
  Device device;
  device.no = row.integer(0);
  device.view.id = row.string(1);
  const ByteView key = row.blob(2);
  std::copy_n(key.begin(), std::min(key.size(), device.key.size()), device.key.begin());
  device.view.name = row.string(3);
  device.view.kind = row.string(4);
  device.view.state = static_cast<fleet::DeviceState>(row.integer(5));
  device.enrolled_at = at(row.integer(6));
  device.last_seen = at(row.integer(7));
  device.identity_digest = row.string(8);
  device.acked_seq = static_cast<std::uint64_t>(row.integer(9));
  device.report_counter = static_cast<std::uint64_t>(row.integer(10));
  device.report_digest = row.string(11);
  device.report_conflicts = row.integer(12);
  device.conflict_at = at(row.integer(13));
  return device;
}

struct Predicate {
  std::string where;
  std::vector<fleet::SqlValue> parameters;
};

// The tag without which nobody is in the group, if there is one: a small index then leads to its few members.
const std::string* needed_tag(const fleet::Query& query, const fleet::Node& node) {
  if (node.kind == fleet::Node::Kind::tag) return &node.name;
  if (node.kind != fleet::Node::Kind::conjunction) return nullptr;
  for (const std::uint32_t child : node.children)
    if (const std::string* tag = needed_tag(query, query.nodes()[child])) return tag;
  return nullptr;
}

Predicate predicate_of(const DeviceFilter& filter) {
  Predicate out;
  if (!filter.kind.empty()) {
    out.where += " AND d.kind = ?";
    out.parameters.emplace_back(std::string(filter.kind));
  }
  if (filter.state) {
    out.where += " AND d.state = ?";
    out.parameters.emplace_back(static_cast<std::int64_t>(*filter.state));
  }
  if (filter.group == nullptr) return out;
  if (const fleet::Query* query = filter.group->query()) {
    fleet::SqlPredicate sql = fleet::to_sql(*query);
    out.where += " AND (" + sql.where + ")";
    for (auto& value : sql.parameters) out.parameters.push_back(std::move(value));
    if (const std::string* tag = needed_tag(*query, query->root())) {
      out.where += " AND d.device_no IN (SELECT device_no FROM device_tag WHERE tag = ?)";
      out.parameters.emplace_back(*tag);
    }
  } else {
    out.where += " AND d.id IN (SELECT device_id FROM grp_member WHERE grp = ?)";
    out.parameters.emplace_back(filter.group->name());
  }
  return out;
}

void bind_all(db::Statement& statement, const Predicate& predicate) {
  for (const auto& value : predicate.parameters) std::visit([&](const auto& one) { statement.bind(one); }, value);
}

}  // namespace

Status SqliteDevices::read_details(Device& device) const {
  TRY_ASSIGN(db::Statement attributes,
             db_.prepare("SELECT key, value FROM device_attribute WHERE device_no = ? ORDER BY key"));
  attributes.bind(device.no);
  for (;;) {
    TRY_ASSIGN(const bool row, attributes.step());
    if (!row) break;
    device.view.attributes.emplace_back(attributes.string(0), attributes.string(1));
  }
  TRY_ASSIGN(db::Statement tags, db_.prepare("SELECT tag FROM device_tag WHERE device_no = ? ORDER BY tag"));
  tags.bind(device.no);
  for (;;) {
    TRY_ASSIGN(const bool row, tags.step());
    if (!row) return {};
    device.view.tags.push_back(tags.string(0));
  }
}

Result<std::optional<Device>> SqliteDevices::read_one(db::Statement& statement) const {
  TRY_ASSIGN(const bool found, statement.step());
  if (!found) return std::optional<Device>();
  Device device = read_row(statement);
  TRY(read_details(device));
  return std::optional<Device>(std::move(device));
}

Result<std::optional<Device>> SqliteDevices::find(DeviceNo no) const {
  static const std::string sql = "SELECT " + std::string(kColumns) + " FROM device d WHERE d.device_no = ?";
  TRY_ASSIGN(db::Statement statement, db_.prepare(sql));
  statement.bind(no);
  return read_one(statement);
}

Result<std::optional<Device>> SqliteDevices::find_id(std::string_view id) const {
  static const std::string sql = "SELECT " + std::string(kColumns) + " FROM device d WHERE d.id = ?";
  TRY_ASSIGN(db::Statement statement, db_.prepare(sql));
  statement.bind(id);
  return read_one(statement);
}

Result<std::vector<Device>> SqliteDevices::list(const DeviceFilter& filter, DeviceNo after, std::size_t limit) const {
  const Predicate predicate = predicate_of(filter);
  TRY_ASSIGN(db::Statement statement,
             db_.prepare_once("SELECT " + std::string(kColumns) + " FROM device d WHERE d.device_no > ?" +
                              predicate.where + " ORDER BY d.device_no LIMIT ?"));
  statement.bind(after);
  bind_all(statement, predicate);
  statement.bind(static_cast<std::int64_t>(limit));
  std::vector<Device> devices;
  for (;;) {
    TRY_ASSIGN(const bool row, statement.step());
    if (!row) break;
    devices.push_back(read_row(statement));
  }
  for (Device& device : devices) TRY(read_details(device));
  return devices;
}

Result<std::int64_t> SqliteDevices::count(const DeviceFilter& filter, std::int64_t limit) const {
  const Predicate predicate = predicate_of(filter);
  TRY_ASSIGN(db::Statement statement,
             db_.prepare_once("SELECT count(*) FROM (SELECT 1 FROM device d WHERE 1" + predicate.where + " LIMIT ?)"));
  bind_all(statement, predicate);
  statement.bind(limit);
  TRY(statement.step());
  return statement.integer(0);
}

Result<std::vector<KindCount>> SqliteDevices::kinds() const {
  TRY_ASSIGN(db::Statement statement,
             db_.prepare("SELECT kind, devices FROM kind WHERE state = ? AND devices > 0 ORDER BY kind"));
  statement.bind(static_cast<std::int64_t>(fleet::DeviceState::active));
  std::vector<KindCount> kinds;
  for (;;) {
    TRY_ASSIGN(const bool row, statement.step());
    if (!row) return kinds;
    kinds.push_back({statement.string(0), statement.integer(1)});
  }
}

Result<std::int64_t> SqliteDevices::count_state(fleet::DeviceState state) const {
  return db_.number("SELECT coalesce(sum(devices), 0) FROM kind WHERE state = ?", 0, static_cast<std::int64_t>(state));
}

Result<std::int64_t> SqliteDevices::count_sample(const fleet::Group& group, std::string_view kind,
                                                 std::int64_t sample) const {
  DeviceFilter filter;
  filter.group = &group;
  const Predicate predicate = predicate_of(filter);
  TRY_ASSIGN(db::Statement statement,
             db_.prepare_once("SELECT count(*) FROM (SELECT device_no, id, name, kind, state FROM device INDEXED BY "
                              "device_stratum WHERE kind = ? AND state = 1 ORDER BY id LIMIT ?) d WHERE 1" +
                              predicate.where));
  statement.bind(kind, sample);
  bind_all(statement, predicate);
  TRY(statement.step());
  return statement.integer(0);
}

Result<std::int64_t> SqliteDevices::count_below(const fleet::Group& group, std::string_view kind, std::string_view salt,
                                                std::uint64_t threshold) const {
  const Predicate predicate = predicate_of({.group = &group, .state = fleet::DeviceState::active, .kind = kind});
  TRY_ASSIGN(db::Statement statement,
             db_.prepare_once("SELECT count(*) FROM device d WHERE drover_bucket(?, d.id) < ?" + predicate.where));
  statement.bind(salt, threshold);
  bind_all(statement, predicate);
  TRY(statement.step());
  return statement.integer(0);
}

Result<std::optional<std::uint64_t>> SqliteDevices::bucket_of(const fleet::Group& group, std::string_view kind,
                                                              std::string_view salt, std::int64_t k) const {
  const Predicate predicate = predicate_of({.group = &group, .state = fleet::DeviceState::active, .kind = kind});
  TRY_ASSIGN(db::Statement statement, db_.prepare_once("SELECT drover_bucket(?, d.id) AS bucket FROM device d WHERE 1" +
                                                       predicate.where + " ORDER BY bucket LIMIT 1 OFFSET ?"));
  statement.bind(salt);
  bind_all(statement, predicate);
  statement.bind(k - 1);
  TRY_ASSIGN(const bool found, statement.step());
  if (!found) return std::optional<std::uint64_t>();
  return std::optional<std::uint64_t>(static_cast<std::uint64_t>(statement.integer(0)));
}

Status SqliteDevices::move_kind(std::string_view kind, fleet::DeviceState state, int by) {
  return db_.run(
      "INSERT INTO kind(kind, state, devices) VALUES(?, ?, ?) "
      "ON CONFLICT(kind, state) DO UPDATE SET devices = devices + excluded.devices",
      kind, static_cast<std::int64_t>(state), by);
}

Status SqliteDevices::write_attributes(DeviceNo no, const wire::Attributes& attributes) {
  TRY(db_.run("DELETE FROM device_attribute WHERE device_no = ?", no));
  TRY_ASSIGN(db::Statement insert,
             db_.prepare("INSERT INTO device_attribute(device_no, key, value, num, semver) VALUES(?, ?, ?, ?, ?)"));
  for (const auto& [key, value] : attributes) {
    insert.bind(no, key, value).bind_optional(fleet::number_of(value)).bind_optional(fleet::semver_key_of(value));
    TRY(insert.run());
  }
  return {};
}

Result<DeviceNo> SqliteDevices::insert(const Device& device) {
  TRY_ASSIGN(db::Statement statement,
             db_.prepare("INSERT INTO device(id, public_key, name, kind, state, enrolled_at, identity_digest) "
                         "VALUES(?, ?, ?, ?, ?, ?, ?)"));
  statement.bind(device.view.id).bind_blob(device.key);
  statement.bind(device.view.name, device.view.kind, static_cast<std::int64_t>(device.view.state),
                 seconds(device.enrolled_at), device.identity_digest);
  TRY(statement.run());
  const DeviceNo no = db_.last_insert_id();
  TRY(move_kind(device.view.kind, device.view.state, 1));
  TRY(write_attributes(no, device.view.attributes));
  TRY(change_tags(no, device.view.tags, {}));
  return no;
}

Status SqliteDevices::set_state(const Device& device, fleet::DeviceState state, WallTime when) {
  TRY(
      db_.run("UPDATE device SET state = ?, enrolled_at = CASE WHEN enrolled_at = 0 THEN ? ELSE enrolled_at END "
              "WHERE device_no = ?",
              static_cast<std::int64_t>(state), state == fleet::DeviceState::active ? seconds(when) : 0, device.no));
  TRY(move_kind(device.view.kind, device.view.state, -1));
  return move_kind(device.view.kind, state, 1);
}

Status SqliteDevices::set_identity(const Device& before, const fleet::DeviceView& view, std::string_view digest) {
  TRY(db_.run("UPDATE device SET name = ?, kind = ?, identity_digest = ? WHERE device_no = ?", view.name, view.kind,
              digest, before.no));
  if (before.view.kind != view.kind) {
    TRY(move_kind(before.view.kind, before.view.state, -1));
    TRY(move_kind(view.kind, before.view.state, 1));
  }
  return write_attributes(before.no, view.attributes);
}

Status SqliteDevices::set_name(DeviceNo no, std::string_view name) {
  return db_.run("UPDATE device SET name = ? WHERE device_no = ?", name, no);
}

Status SqliteDevices::change_tags(DeviceNo no, std::span<const std::string> add, std::span<const std::string> remove) {
  for (const std::string& tag : remove) TRY(db_.run("DELETE FROM device_tag WHERE device_no = ? AND tag = ?", no, tag));
  for (const std::string& tag : add)
    TRY(db_.run("INSERT INTO device_tag(device_no, tag) VALUES(?, ?) ON CONFLICT DO NOTHING", no, tag));
  TRY_ASSIGN(const std::int64_t tags, db_.number("SELECT count(*) FROM device_tag WHERE device_no = ?", 0, no));
  if (static_cast<std::size_t>(tags) > kMaxTags)
    return Error(Code::too_large, "a device has at most " + std::to_string(kMaxTags) + " tags");
  return {};
}

}  // namespace drover::store::sqlite
