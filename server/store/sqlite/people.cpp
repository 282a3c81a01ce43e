#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/store/sqlite/tables.h"

namespace drover::store::sqlite {
namespace {

constexpr std::size_t kMaxTagsText = 64 * 1024;

Result<EnrolmentTokenRow> read_enrolment(const db::Statement& row) {
  EnrolmentTokenRow token;
  token.id = row.string(0);
  token.hash = row.string(1);
  token.name = row.string(2);
  TRY_ASSIGN(const json::Value tags, json::parse(row.text(3), kMaxTagsText));
  token.tags = tags.get<std::vector<std::string>>();
  token.created_at = at(row.integer(4));
  token.expires = at(row.integer(5));
  token.uses_left = row.integer(6);
  return token;
}

UploadRow read_upload(const db::Statement& row) {
  return {row.string(0),
          row.string(1),
          static_cast<std::uint64_t>(row.integer(2)),
          static_cast<std::uint64_t>(row.integer(3)),
          row.string(4),
          at(row.integer(5))};
}

Result<std::optional<UploadRow>> first_upload(db::Statement& row) {
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<UploadRow>();
  return std::optional<UploadRow>(read_upload(row));
}

}  // namespace

Result<std::vector<TokenRow>> SqliteTokens::all() const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT id, hash, name, role, created_at, expires FROM token "
                                            "ORDER BY created_at, id"));
  std::vector<TokenRow> tokens;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return tokens;
    tokens.push_back({row.string(0), row.string(1), row.string(2), static_cast<auth::Role>(row.integer(3)),
                      at(row.integer(4)), at(row.integer(5))});
  }
}

Status SqliteTokens::insert(const TokenRow& token) {
  return db_.run("INSERT INTO token(id, hash, name, role, created_at, expires) VALUES(?, ?, ?, ?, ?, ?)", token.id,
                 token.hash, token.name, static_cast<std::int64_t>(token.role), seconds(token.created_at),
                 seconds(token.expires));
}

Result<bool> SqliteTokens::remove(std::string_view id) {
  TRY(db_.run("DELETE FROM token WHERE id = ?", id));
  return db_.changes() > 0;
}

Result<std::vector<EnrolmentTokenRow>> SqliteEnrolmentTokens::all() const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT id, hash, name, tags, created_at, expires, uses_left "
                                            "FROM enrolment_token ORDER BY created_at, id"));
  std::vector<EnrolmentTokenRow> tokens;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return tokens;
    TRY_ASSIGN(EnrolmentTokenRow token, read_enrolment(row));
    tokens.push_back(std::move(token));
  }
}

Result<std::optional<EnrolmentTokenRow>> SqliteEnrolmentTokens::find_hash(std::string_view hash) const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT id, hash, name, tags, created_at, expires, uses_left "
                                            "FROM enrolment_token WHERE hash = ?"));
  row.bind(hash);
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<EnrolmentTokenRow>();
  TRY_ASSIGN(EnrolmentTokenRow token, read_enrolment(row));
  return std::optional<EnrolmentTokenRow>(std::move(token));
}

Status SqliteEnrolmentTokens::insert(const EnrolmentTokenRow& token) {
  return db_.run("INSERT INTO enrolment_token(id, hash, name, tags, created_at, expires, uses_left) "
                 "VALUES(?, ?, ?, ?, ?, ?, ?)",
                 token.id, token.hash, token.name, nlohmann::json(token.tags).dump(), seconds(token.created_at),
                 seconds(token.expires), token.uses_left);
}

Status SqliteEnrolmentTokens::use(std::string_view id) {
  return db_.run("UPDATE enrolment_token SET uses_left = uses_left - 1 WHERE id = ? AND uses_left > 0", id);
}

Result<bool> SqliteEnrolmentTokens::remove(std::string_view id) {
  TRY(db_.run("DELETE FROM enrolment_token WHERE id = ?", id));
  return db_.changes() > 0;
}

Result<std::vector<wire::AuditEntry>> SqliteAudit::list(std::int64_t after, std::size_t limit) const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT seq, at, actor, role, action, subject, detail, outcome, prev_hash, "
                                            "hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"));
  row.bind(after, static_cast<std::int64_t>(limit));
  std::vector<wire::AuditEntry> entries;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return entries;
    entries.push_back({row.integer(0), at(row.integer(1)), row.string(2), row.string(3), row.string(4), row.string(5),
                       row.string(6), row.string(7), row.string(8), row.string(9)});
  }
}

Result<audit::Head> SqliteAudit::head() const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"));
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return audit::Head();
  return audit::Head{row.integer(0), row.string(1)};
}

Status SqliteAudit::insert(const wire::AuditEntry& entry) {
  return db_.run("INSERT INTO audit(seq, at, actor, role, action, subject, detail, outcome, prev_hash, hash) "
                 "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 entry.seq, seconds(entry.at), entry.actor, entry.role, entry.action, entry.subject, entry.detail,
                 entry.outcome, entry.prev_hash, entry.hash);
}

Result<std::optional<KeptAnswer>> SqliteAnswers::find(std::string_view actor, std::string_view key) const {
  TRY_ASSIGN(db::Statement row,
             db_.prepare("SELECT request, status, headers, body FROM idempotency WHERE actor = ? AND key = ?"));
  row.bind(actor, key);
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<KeptAnswer>();
  return std::optional<KeptAnswer>(
      KeptAnswer{row.string(0), static_cast<int>(row.integer(1)), row.string(2), row.string(3)});
}

Status SqliteAnswers::insert(std::string_view actor, std::string_view key, const KeptAnswer& answer, WallTime when) {
  return db_.run("INSERT INTO idempotency(actor, key, request, status, headers, body, at) VALUES(?, ?, ?, ?, ?, ?, ?)",
                 actor, key, answer.request, answer.status, answer.headers, answer.body, seconds(when));
}

Status SqliteAnswers::forget_before(WallTime when) {
  return db_.run("DELETE FROM idempotency WHERE at < ?", seconds(when));
}

Result<std::optional<UploadRow>> SqliteUploads::find(std::string_view id) const {
  TRY_ASSIGN(db::Statement row,
             db_.prepare("SELECT id, digest, size, stored, created_by, created_at FROM upload WHERE id = ?"));
  row.bind(id);
  return first_upload(row);
}

Result<std::optional<UploadRow>> SqliteUploads::find_digest(std::string_view digest) const {
  TRY_ASSIGN(db::Statement row,
             db_.prepare("SELECT id, digest, size, stored, created_by, created_at FROM upload WHERE digest = ?"));
  row.bind(digest);
  return first_upload(row);
}

Result<std::int64_t> SqliteUploads::count() const { return db_.number("SELECT count(*) FROM upload", 0); }

Result<std::vector<UploadRow>> SqliteUploads::older_than(WallTime when, std::size_t limit) const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT id, digest, size, stored, created_by, created_at FROM upload "
                                            "WHERE created_at < ? LIMIT ?"));
  row.bind(seconds(when), static_cast<std::int64_t>(limit));
  std::vector<UploadRow> uploads;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return uploads;
    uploads.push_back(read_upload(row));
  }
}

Status SqliteUploads::insert(const UploadRow& upload) {
  return db_.run("INSERT INTO upload(id, digest, size, stored, created_by, created_at) VALUES(?, ?, ?, ?, ?, ?)",
                 upload.id, upload.digest, upload.size, upload.stored, upload.created_by, seconds(upload.created_at));
}

Status SqliteUploads::set_stored(std::string_view id, std::uint64_t stored) {
  return db_.run("UPDATE upload SET stored = ? WHERE id = ?", stored, id);
}

Status SqliteUploads::remove(std::string_view id) { return db_.run("DELETE FROM upload WHERE id = ?", id); }

}  // namespace drover::store::sqlite
