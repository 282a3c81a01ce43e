#include "agent/store/store.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "agent/store/codec.h"
#include "common/db/connection.h"
#include "common/db/transaction.h"

namespace drover::agent {
namespace {

constexpr std::int32_t kApplicationId = 0x44524147;  // "DRAG"
constexpr std::int64_t kPageCache = 256 * 1024;      // the whole file has some hundred KiB
constexpr std::size_t kEventOverhead = 400;          // names, times and counters of an event as JSON

constexpr std::array<std::string_view, 2> kMigrations = {R"sql(
CREATE TABLE value (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE slot (model TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL, deployment TEXT NOT NULL, model TEXT NOT NULL, release TEXT NOT NULL,
  step INTEGER NOT NULL, outcome INTEGER NOT NULL, final INTEGER NOT NULL, code INTEGER NOT NULL,
  detail TEXT NOT NULL, bytes_fetched INTEGER NOT NULL, bytes_resumed INTEGER NOT NULL, evidence TEXT NOT NULL);
)sql",
                                                         R"sql(
ALTER TABLE outbox ADD COLUMN bytes_saved INTEGER NOT NULL DEFAULT 0;
)sql"};

std::string cut(std::string text, std::size_t limit) {
  if (text.size() > limit) {
    text.resize(limit);
    // Not in the middle of a UTF-8 character.
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.pop_back();
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.pop_back();
  }
  return text;
}

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(db::Connection connection) : db_(std::move(connection)) {}

  Status load(bool read_only) {
    if (!read_only) TRY(db::migrate(db_, kApplicationId, kMigrations));
    TRY_ASSIGN(std::string text, value("state"));
    if (!text.empty()) {
      TRY_ASSIGN(state_, decode_state(text));
    }
    TRY_ASSIGN(text, value("targets"));
    if (!text.empty()) {
      TRY_ASSIGN(accepted_.targets, decode_targets(text));
    }
    TRY_ASSIGN(accepted_.version, number("assignment_version"));
    TRY_ASSIGN(accepted_.document, value("assignment"));
    TRY_ASSIGN(session_.token, value("session_token"));
    TRY_ASSIGN(const std::int64_t expires, number("session_expires"));
    session_.expires = WallTime(std::chrono::seconds(expires));
    TRY_ASSIGN(session_.poll_seconds, number("poll_seconds"));
    TRY_ASSIGN(const std::int64_t floor, number("time_floor"));
    time_floor_ = WallTime(std::chrono::seconds(floor));
    TRY_ASSIGN(traffic_, stored_traffic("bytes_"));
    TRY_ASSIGN(done_, stored_traffic("done_"));
    TRY_ASSIGN(reported_, value("reported"));
    TRY_ASSIGN(device_id_, value("device_id"));
    TRY(load_slots());
    TRY_ASSIGN(text, value("clean_stop"));
    clean_ = text == "1";
    return clean_ && !read_only ? set("clean_stop", "0") : Status();
  }

  const update::State& state() const override { return state_; }
  const std::vector<update::Slot>& slots() const override { return slots_; }
  const Accepted& accepted() const override { return accepted_; }
  const Session& session() const override { return session_; }
  Traffic traffic() const override { return traffic_; }
  Traffic traffic_done() const override { return done_; }
  const std::string& reported() const override { return reported_; }
  const std::string& device_id() const override { return device_id_; }
  WallTime time_floor() const override { return time_floor_; }
  bool stopped_cleanly() const override { return clean_; }

  Status apply(const update::Decision& decision, WallTime now) override {
    const bool begins = state_.step == update::Step::idle && decision.next.step != update::Step::idle;
    const Traffic traffic = begins ? Traffic{} : traffic_;
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    TRY(set("state", encode(decision.next)));
    if (begins) TRY(set_traffic(traffic));
    if (begins) TRY(set_done(traffic));
    for (const update::Report& report : decision.reports) TRY(append(decision.next.target, report, traffic, now));
    std::optional<update::Slot> slot;
    if (decision.finished || decision.record) slot = slot_after(decision, now);
    if (slot) TRY(db_.run("INSERT OR REPLACE INTO slot (model, text) VALUES (?, ?)", slot->model, encode(*slot)));
    TRY(trim());
    TRY(transaction.commit());
    state_ = decision.next;
    traffic_ = traffic;
    if (begins) done_ = traffic;
    if (slot) put(std::move(*slot));
    return {};
  }

  Status accept(const Accepted& accepted) override {
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    TRY(set("targets", encode(accepted.targets)));
    TRY(set("assignment", accepted.document));
    TRY(set("assignment_version", std::to_string(accepted.version)));
    TRY(transaction.commit());
    accepted_ = accepted;
    return {};
  }

  Status save(const Session& session) override {
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    TRY(set("session_token", session.token));
    TRY(set("session_expires", std::to_string(session.expires.time_since_epoch().count())));
    TRY(set("poll_seconds", std::to_string(session.poll_seconds)));
    TRY(transaction.commit());
    session_ = session;
    return {};
  }

  Status save(const Traffic& traffic) override {
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    TRY(set_traffic(traffic));
    TRY(transaction.commit());
    traffic_ = traffic;
    return {};
  }

  Status save_done(const Traffic& traffic) override {
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    TRY(set_done(traffic));
    TRY(set_traffic(traffic));
    TRY(transaction.commit());
    done_ = traffic_ = traffic;
    return {};
  }

  Status report(const update::Target& target, const update::Report& report, WallTime now) override {
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    TRY(append(target, report, traffic_, now));
    TRY(trim());
    return transaction.commit();
  }

  Result<std::vector<wire::Event>> pending() override {
    TRY_ASSIGN(db::Statement rows,
               db_.prepare("SELECT seq, at, deployment, model, release, step, outcome, code, detail, bytes_fetched, "
                           "bytes_resumed, evidence, bytes_saved FROM outbox ORDER BY seq LIMIT ?"));
    rows.bind(wire::kMaxEventsPerReport);
    std::vector<wire::Event> events;
    for (std::size_t bytes = 0;;) {
      TRY_ASSIGN(const bool found, rows.step());
      if (!found) return events;
      wire::Event event = read_event(rows);
      bytes += kEventOverhead + 2 * (event.detail.size() + event.evidence.size());
      if (!events.empty() && (event.seq != events.back().seq + 1 || bytes > kMaxReportBytes)) return events;
      events.push_back(std::move(event));
    }
  }

  Result<std::int64_t> pending_count() override { return db_.number("SELECT count(*) FROM outbox", 0); }

  Status acknowledge(std::uint64_t seq) override { return db_.run("DELETE FROM outbox WHERE seq <= ?", seq); }

  Result<std::uint64_t> next_report_counter() override {
    TRY_ASSIGN(const std::int64_t last, number("report_counter"));
    TRY(set("report_counter", std::to_string(last + 1)));
    return static_cast<std::uint64_t>(last + 1);
  }

  Status go_on_above(std::uint64_t report_counter, std::uint64_t seq) override {
    TRY_ASSIGN(const std::int64_t first, db_.number("SELECT coalesce(min(seq), 0) FROM outbox", 0));
    TRY_ASSIGN(const std::int64_t last, number("report_counter"));
    const std::int64_t shift = first == 0 ? 0 : std::max<std::int64_t>(0, static_cast<std::int64_t>(seq) + 1 - first);
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    if (shift > 0) {
      // By way of negative numbers: one after the other they would run into each other.
      TRY(db_.run("UPDATE outbox SET seq = -(seq + ?)", shift));
      TRY(db_.run("UPDATE outbox SET seq = -seq"));
    }
    TRY(
        db_.run("INSERT INTO sqlite_sequence(name, seq) SELECT 'outbox', 0 "
                "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'outbox')"));
    TRY(
        db_.run("UPDATE sqlite_sequence SET seq = max(seq, ?, (SELECT coalesce(max(seq), 0) FROM outbox)) "
                "WHERE name = 'outbox'",
                seq));
    TRY(set("report_counter", std::to_string(std::max(last, static_cast<std::int64_t>(report_counter)))));
    return transaction.commit();
  }

  Status save_device_id(std::string_view id) override {
    if (device_id_ == id) return {};
    TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(db_));
    TRY(set("device_id", std::string(id)));
    if (!device_id_.empty()) TRY(set("session_token", ""));
    TRY(transaction.commit());
    if (!device_id_.empty()) session_.token.clear();
    device_id_ = id;
    return {};
  }

  Status save_reported(std::string_view installed) override {
    TRY(set("reported", std::string(installed)));
    reported_ = installed;
    return {};
  }

  Status raise_time_floor(WallTime time) override {
    if (time < time_floor_ + kTimeFloorStep) return {};
    TRY(set("time_floor", std::to_string(time.time_since_epoch().count())));
    time_floor_ = time;
    return {};
  }

  Status mark_clean_stop() override { return set("clean_stop", "1"); }

 private:
  Result<std::string> value(std::string_view name) {
    TRY_ASSIGN(db::Statement row, db_.prepare("SELECT text FROM value WHERE name = ?"));
    row.bind(name);
    TRY_ASSIGN(const bool found, row.step());
    return found ? row.string(0) : std::string();
  }
  Result<std::int64_t> number(std::string_view name) {
    return db_.number("SELECT CAST(text AS INTEGER) FROM value WHERE name = ?", 0, name);
  }
  Status set(std::string_view name, const std::string& text) {
    return db_.run("INSERT OR REPLACE INTO value (name, text) VALUES (?, ?)", name, text);
  }
  Result<Traffic> stored_traffic(const std::string& prefix) {
    TRY_ASSIGN(const std::int64_t fetched, number(prefix + "fetched"));
    TRY_ASSIGN(const std::int64_t resumed, number(prefix + "resumed"));
    TRY_ASSIGN(const std::int64_t saved, number(prefix + "saved"));
    return Traffic{static_cast<std::uint64_t>(fetched), static_cast<std::uint64_t>(resumed),
                   static_cast<std::uint64_t>(saved)};
  }
  Status set_all(const std::string& prefix, const Traffic& traffic) {
    TRY(set(prefix + "fetched", std::to_string(traffic.fetched)));
    TRY(set(prefix + "resumed", std::to_string(traffic.resumed)));
    return set(prefix + "saved", std::to_string(traffic.saved));
  }
  Status set_traffic(const Traffic& traffic) { return set_all("bytes_", traffic); }
  Status set_done(const Traffic& traffic) { return set_all("done_", traffic); }

  Status load_slots() {
    TRY_ASSIGN(db::Statement rows, db_.prepare("SELECT text FROM slot ORDER BY model"));
    for (;;) {
      TRY_ASSIGN(const bool found, rows.step());
      if (!found) return {};
      TRY_ASSIGN(update::Slot slot, decode_slot(rows.text(0)));
      slots_.push_back(std::move(slot));
    }
  }

  update::Slot slot_after(const update::Decision& decision, WallTime now) const {
    const update::Target& target = decision.next.target;
    const update::Slot* found = Store::slot(target.model);
    update::Slot slot = found == nullptr ? update::Slot{} : *found;
    slot.model = target.model;
    if (decision.record) slot = update::recorded(slot, target, now);
    if (decision.finished) slot.last_deployment = target.deployment;
    return slot;
  }

  void put(update::Slot slot) {
    const auto at = std::lower_bound(slots_.begin(), slots_.end(), slot.model,
                                     [](const update::Slot& a, const std::string& model) { return a.model < model; });
    if (at != slots_.end() && at->model == slot.model)
      *at = std::move(slot);
    else
      slots_.insert(at, std::move(slot));
  }

  Status append(const update::Target& target, const update::Report& report, const Traffic& traffic, WallTime now) {
    // Evidence is JSON: cut short it would be none.
    const bool evidence_fits = report.evidence.size() <= wire::kMaxEvidence;
    return db_.run(
        "INSERT INTO outbox (at, deployment, model, release, step, outcome, final, code, detail, bytes_fetched, "
        "bytes_resumed, evidence, bytes_saved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        static_cast<std::int64_t>(now.time_since_epoch().count()), target.deployment, target.model, target.release,
        static_cast<int>(report.step), static_cast<int>(report.outcome), wire::is_final(report.outcome),
        static_cast<int>(report.code), cut(report.detail, wire::kMaxDetail), traffic.fetched, traffic.resumed,
        evidence_fits ? report.evidence : std::string(), traffic.saved);
  }

  Status trim() {
    TRY(
        db_.run("DELETE FROM outbox WHERE final = 0 AND seq IN (SELECT seq FROM outbox WHERE final = 0 ORDER BY seq "
                "LIMIT max(0, (SELECT count(*) FROM outbox) - ?))",
                kMaxOutbox));
    return db_.run(
        "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE final = 1 ORDER BY seq "
        "LIMIT max(0, (SELECT count(*) FROM outbox WHERE final = 1) - ?))",
        kMaxFinalEvents);
  }

  static wire::Event read_event(const db::Statement& row) {
    wire::Event event;
    event.seq = static_cast<std::uint64_t>(row.integer(0));
    event.at = WallTime(std::chrono::seconds(row.integer(1)));
    event.deployment = row.string(2);
    event.model = row.string(3);
    event.release = row.string(4);
    event.step = static_cast<wire::Step>(row.integer(5));
    event.outcome = static_cast<wire::Outcome>(row.integer(6));
    event.code = static_cast<Code>(row.integer(7));
    event.detail = row.string(8);
    event.bytes_fetched = static_cast<std::uint64_t>(row.integer(9));
    event.bytes_resumed = static_cast<std::uint64_t>(row.integer(10));
    event.evidence = row.string(11);
    event.bytes_saved = static_cast<std::uint64_t>(row.integer(12));
    return event;
  }

  db::Connection db_;
  update::State state_;
  std::vector<update::Slot> slots_;
  Accepted accepted_;
  Session session_;
  Traffic traffic_, done_;
  std::string reported_, device_id_;
  WallTime time_floor_{};
  bool clean_ = false;
};

}  // namespace

namespace {

Result<std::unique_ptr<Store>> open_store(const std::string& file, bool read_only) {
  db::OpenOptions options;
  options.cache_bytes = kPageCache;
  options.read_only = read_only;
  TRY_ASSIGN(db::Connection connection, db::Connection::open(file, options));
  auto store = std::make_unique<SqliteStore>(std::move(connection));
  TRY(store->load(read_only).within("reading " + file));
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& file) { return open_store(file, false); }
Result<std::unique_ptr<Store>> Store::open_to_read(const std::string& file) { return open_store(file, true); }

const update::Slot* Store::slot(std::string_view model) const {
  for (const update::Slot& slot : slots())
    if (slot.model == model) return &slot;
  return nullptr;
}

std::vector<wire::Installed> installed(std::span<const update::Slot> slots) {
  std::vector<wire::Installed> list;
  for (const update::Slot& slot : slots)
    if (!slot.current.package.empty() && list.size() < wire::kMaxInstalled)
      list.push_back(
          {slot.model, slot.current.release, slot.current.package, slot.current.release_counter, slot.current.since});
  return list;
}

}  // namespace drover::agent
