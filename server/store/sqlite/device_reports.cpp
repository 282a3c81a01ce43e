// What devices say and are told: reports, what is installed, assignments.
#include "server/store/sqlite/tables.h"

namespace drover::store::sqlite {

Result<std::vector<wire::Installed>> SqliteDevices::installed(DeviceNo no) const {
  TRY_ASSIGN(db::Statement statement,
             db_.prepare("SELECT model, release, package, release_counter, since FROM installed WHERE device_no = ? "
                         "ORDER BY model"));
  statement.bind(no);
  std::vector<wire::Installed> all;
  for (;;) {
    TRY_ASSIGN(const bool row, statement.step());
    if (!row) return all;
    all.push_back({statement.string(0), statement.string(1), statement.string(2), statement.integer(3),
                   at(statement.integer(4))});
  }
}

Result<std::vector<ReleaseCount>> SqliteDevices::releases_run(std::string_view model, std::size_t limit) const {
  TRY_ASSIGN(db::Statement statement,
             db_.prepare("SELECT release, count(*) FROM (SELECT model, release FROM installed LIMIT ?) WHERE model = ? "
                         "GROUP BY release ORDER BY 2 DESC, release LIMIT ?"));
  statement.bind(kRunSample, model, static_cast<std::int64_t>(limit));
  std::vector<ReleaseCount> all;
  for (;;) {
    TRY_ASSIGN(const bool row, statement.step());
    if (!row) return all;
    all.push_back({statement.string(0), statement.integer(1)});
  }
}

Result<std::optional<StoredAssignment>> SqliteDevices::assignment(DeviceNo no) const {
  TRY_ASSIGN(db::Statement statement,
             db_.prepare("SELECT version, expires, content, document FROM assignment WHERE device_no = ?"));
  statement.bind(no);
  TRY_ASSIGN(const bool found, statement.step());
  if (!found) return std::optional<StoredAssignment>();
  StoredAssignment assignment;
  assignment.version = statement.integer(0);
  assignment.expires = at(statement.integer(1));
  assignment.content = statement.string(2);
  assignment.document = statement.string(3);
  return std::optional<StoredAssignment>(std::move(assignment));
}

Status SqliteDevices::put_assignment(DeviceNo no, const StoredAssignment& assignment) {
  return db_.run(
      "INSERT INTO assignment(device_no, version, expires, content, document) VALUES(?, ?, ?, ?, ?) "
      "ON CONFLICT(device_no) DO UPDATE SET version = excluded.version, expires = excluded.expires, "
      "content = excluded.content, document = excluded.document",
      no, assignment.version, seconds(assignment.expires), assignment.content, assignment.document);
}

Result<std::vector<StoredEvent>> SqliteDevices::events(DeviceNo no, std::size_t limit) const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT seq, at, received_at, deployment, model, release, step, outcome, "
                                            "code, detail, evidence FROM event WHERE device_no = ? "
                                            "ORDER BY seq DESC LIMIT ?"));
  row.bind(no, static_cast<std::int64_t>(limit));
  std::vector<StoredEvent> events;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return events;
    StoredEvent stored;
    stored.event.seq = static_cast<std::uint64_t>(row.integer(0));
    stored.event.at = at(row.integer(1));
    stored.received_at = at(row.integer(2));
    stored.event.deployment = row.string(3);
    stored.event.model = row.string(4);
    stored.event.release = row.string(5);
    TRY_ASSIGN(stored.event.step, wire::step_from_text(row.text(6)));
    TRY_ASSIGN(stored.event.outcome, wire::outcome_from_text(row.text(7)));
    stored.event.code = static_cast<Code>(row.integer(8));
    stored.event.detail = row.string(9);
    stored.event.evidence = row.string(10);
    events.push_back(std::move(stored));
  }
}

Status SqliteDevices::set_acked(DeviceNo no, std::uint64_t seq) {
  return db_.run("UPDATE device SET acked_seq = ? WHERE device_no = ?", seq, no);
}

Status SqliteDevices::set_report(DeviceNo no, const TakenReport& report, WallTime when) {
  TRY(db_.run("UPDATE device SET report_counter = ?, report_digest = ? WHERE device_no = ?", report.counter,
              report.digest, no));
  return db_.run("INSERT OR REPLACE INTO last_report(device_no, payload, signature, at) VALUES(?, ?, ?, ?)", no,
                 report.payload, report.signature, seconds(when));
}

Status SqliteDevices::add_conflict(DeviceNo no, WallTime when) {
  return db_.run("UPDATE device SET report_conflicts = report_conflicts + 1, conflict_at = ? WHERE device_no = ?",
                 seconds(when), no);
}

Status SqliteDevices::touch(std::span<const DeviceNo> devices, WallTime when) {
  TRY_ASSIGN(db::Statement update,
             db_.prepare("UPDATE device SET last_seen = ? WHERE device_no = ? AND last_seen < ?"));
  for (const DeviceNo no : devices) {
    update.bind(seconds(when), no, seconds(when));
    TRY(update.run());
  }
  return {};
}

Status SqliteDevices::replace_installed(DeviceNo no, std::span<const wire::Installed> all) {
  TRY(db_.run("DELETE FROM installed WHERE device_no = ?", no));
  for (const wire::Installed& one : all)
    TRY(
        db_.run("INSERT INTO installed(device_no, model, release, package, release_counter, since) "
                "VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(device_no, model) DO NOTHING",
                no, one.model, one.release, one.package, one.release_counter, seconds(one.since)));
  return {};
}

Status SqliteDevices::add_event(DeviceNo no, const wire::Event& event, WallTime when) {
  TRY(
      db_.run("INSERT INTO event(device_no, seq, at, received_at, deployment, model, release, step, outcome, code, "
              "detail, evidence) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
              no, event.seq, seconds(event.at), seconds(when), event.deployment, event.model, event.release,
              wire::to_text(event.step), wire::to_text(event.outcome), static_cast<std::int64_t>(event.code),
              event.detail, event.evidence));
  return db_.run("DELETE FROM event WHERE device_no = ? AND seq <= ?", no,
                 static_cast<std::int64_t>(event.seq) - kEventsKept);
}

}  // namespace drover::store::sqlite
