#include "server/store/sqlite/tables.h"

namespace drover::store::sqlite {

Result<std::vector<GroupRow>> SqliteGroups::all() const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT name, query, version, created_by, created_at FROM grp ORDER BY name"));
  std::vector<GroupRow> groups;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) break;
    GroupRow group;
    group.name = row.string(0);
    if (!row.null(1)) group.query = row.string(1);
    group.version = row.integer(2);
    group.created_by = row.string(3);
    group.created_at = at(row.integer(4));
    groups.push_back(std::move(group));
  }
  for (GroupRow& group : groups) {
    if (group.query) continue;
    TRY_ASSIGN(db::Statement member, db_.prepare("SELECT device_id FROM grp_member WHERE grp = ? ORDER BY device_id"));
    member.bind(group.name);
    for (;;) {
      TRY_ASSIGN(const bool more, member.step());
      if (!more) break;
      group.devices.push_back(member.string(0));
    }
  }
  return groups;
}

Status SqliteGroups::write_members(const GroupRow& group) {
  TRY(db_.run("DELETE FROM grp_member WHERE grp = ?", group.name));
  for (const std::string& id : group.devices)
    TRY(db_.run("INSERT INTO grp_member(grp, device_id) VALUES(?, ?) ON CONFLICT DO NOTHING", group.name, id));
  return {};
}

Status SqliteGroups::insert(const GroupRow& group) {
  TRY_ASSIGN(db::Statement statement,
             db_.prepare("INSERT INTO grp(name, query, version, created_by, created_at) VALUES(?, ?, ?, ?, ?)"));
  statement.bind(group.name).bind_optional(group.query);
  statement.bind(group.version, group.created_by, seconds(group.created_at));
  TRY(statement.run());
  return write_members(group);
}

Status SqliteGroups::update(const GroupRow& group) {
  TRY_ASSIGN(db::Statement statement, db_.prepare("UPDATE grp SET query = ?, version = ? WHERE name = ?"));
  statement.bind_optional(group.query).bind(group.version, group.name);
  TRY(statement.run());
  return write_members(group);
}

Status SqliteGroups::remove(std::string_view name) { return db_.run("DELETE FROM grp WHERE name = ?", name); }

Result<std::vector<ReleaseRow>> SqliteReleases::all() const {
  TRY_ASSIGN(db::Statement row,
             db_.prepare("SELECT release_no, model, version, state, index_digest, index_size, release_counter, "
                         "published_at FROM release ORDER BY release_no"));
  std::vector<ReleaseRow> releases;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) break;
    releases.push_back({row.integer(0), row.string(1), row.string(2), static_cast<ReleaseState>(row.integer(3)),
                        row.string(4), row.integer(5), row.integer(6), at(row.integer(7)), {}});
  }
  for (ReleaseRow& release : releases) {
    TRY_ASSIGN(db::Statement variant, db_.prepare("SELECT kind, architecture, precision, manifest, bytes, encrypted FROM variant "
                                                  "WHERE release_no = ? ORDER BY kind"));
    variant.bind(release.no);
    for (;;) {
      TRY_ASSIGN(const bool more, variant.step());
      if (!more) break;
      release.variants.push_back(
          {variant.string(0), variant.string(1), variant.string(2), variant.string(3), variant.integer(4),
           variant.integer(5) != 0});
    }
  }
  return releases;
}

Status SqliteReleases::insert(const ReleaseRow& release) {
  TRY(db_.run("INSERT INTO release(model, version, state, index_digest, index_size, release_counter, published_at) "
              "VALUES(?, ?, ?, ?, ?, ?, ?)",
              release.model, release.version, static_cast<std::int64_t>(release.state), release.index_digest,
              release.index_size, release.release_counter, seconds(release.published_at)));
  const std::int64_t no = db_.last_insert_id();
  for (const VariantRow& variant : release.variants)
    TRY(db_.run("INSERT INTO variant(release_no, kind, architecture, precision, manifest, bytes, encrypted) "
                "VALUES(?, ?, ?, ?, ?, ?, ?)",
                no, variant.kind, variant.architecture, variant.precision, variant.manifest, variant.bytes,
                variant.encrypted ? 1 : 0));
  return {};
}

Status SqliteReleases::update(const ReleaseRow& release) {
  return db_.run("UPDATE release SET state = ?, release_counter = ? WHERE model = ? AND version = ?",
                 static_cast<std::int64_t>(release.state), release.release_counter, release.model, release.version);
}

Result<std::optional<ContentKeyRow>> SqliteReleases::content_key(std::string_view package) const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT package, wrapping_key, sealed, handed_by, handed_at FROM content_key "
                                            "WHERE package = ?"));
  row.bind(package);
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<ContentKeyRow>();
  return std::optional<ContentKeyRow>(
      ContentKeyRow{row.string(0), row.string(1), row.string(2), row.string(3), at(row.integer(4))});
}

Status SqliteReleases::put_content_key(const ContentKeyRow& key) {
  return db_.run("INSERT INTO content_key(package, wrapping_key, sealed, handed_by, handed_at) VALUES(?, ?, ?, ?, ?) "
                 "ON CONFLICT(package) DO UPDATE SET wrapping_key = excluded.wrapping_key, sealed = excluded.sealed, "
                 "handed_by = excluded.handed_by, handed_at = excluded.handed_at",
                 key.package, key.wrapping_key, key.sealed, key.handed_by, seconds(key.handed_at));
}

namespace {

Result<std::optional<MetadataRow>> read_metadata(db::Statement& row) {
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<MetadataRow>();
  return std::optional<MetadataRow>(MetadataRow{row.string(0), row.integer(1), row.string(2)});
}

}  // namespace

Result<std::optional<MetadataRow>> SqliteMetadata::find(std::string_view role, std::int64_t version) const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT role, version, bytes FROM metadata WHERE role = ? AND version = ?"));
  row.bind(role, version);
  return read_metadata(row);
}

Result<std::optional<MetadataRow>> SqliteMetadata::latest(std::string_view role) const {
  TRY_ASSIGN(db::Statement row,
             db_.prepare("SELECT role, version, bytes FROM metadata WHERE role = ? ORDER BY version DESC LIMIT 1"));
  row.bind(role);
  return read_metadata(row);
}

Result<std::vector<MetadataRow>> SqliteMetadata::current() const {
  TRY_ASSIGN(db::Statement row,
             db_.prepare("SELECT m.role, m.version, m.bytes FROM metadata m JOIN (SELECT role, max(version) AS version "
                         "FROM metadata GROUP BY role) n ON m.role = n.role AND m.version = n.version ORDER BY m.role"));
  std::vector<MetadataRow> files;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return files;
    files.push_back({row.string(0), row.integer(1), row.string(2)});
  }
}

Status SqliteMetadata::insert(const MetadataRow& file) {
  return db_.run("INSERT INTO metadata(role, version, bytes) VALUES(?, ?, ?)", file.role, file.version, file.bytes);
}

Status SqliteMetadata::forget_below(std::string_view role, std::int64_t version) {
  return db_.run("DELETE FROM metadata WHERE role = ? AND version < ?", role, version);
}

}  // namespace drover::store::sqlite
