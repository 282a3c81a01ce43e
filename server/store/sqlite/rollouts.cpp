#include <charconv>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/rollout/state_text.h"
#include "server/store/sqlite/tables.h"

namespace drover::store::sqlite {
namespace {

constexpr std::string_view kColumns =
    "rollout_no, id, spec, salt, created_by, created_at, engine, thresholds, updates, by_delta, bytes_fetched, "
    "bytes_saved";
constexpr std::size_t kMaxThresholds = 1 << 20;

std::string encode(const rollout::Thresholds& thresholds) {
  nlohmann::json by_kind = nlohmann::json::object();
  for (const auto& [kind, threshold] : thresholds.by_kind) by_kind[kind] = threshold;
  return nlohmann::json{{"by_kind", std::move(by_kind)}, {"otherwise", thresholds.otherwise}}.dump();
}

Result<rollout::Thresholds> decode_thresholds(std::string_view text) {
  rollout::Thresholds out;
  TRY_ASSIGN(const json::Value value, json::parse(text, kMaxThresholds));
  json::Reader in(value);
  out.otherwise = static_cast<std::uint64_t>(in.integer("otherwise", 0, INT64_MAX));
  for (const auto& item : in.raw("by_kind").items()) out.by_kind.emplace_back(item.key(), item.value().get<std::uint64_t>());
  TRY(in.finish());
  return out;
}

Result<RolloutRow> read_row(const db::Statement& row) {
  RolloutRow out;
  out.no = row.integer(0);
  out.id = row.string(1);
  TRY_ASSIGN(out.spec, wire::decode_rollout_spec(row.text(2)));
  out.salt = row.string(3);
  out.created_by = row.string(4);
  out.created_at = at(row.integer(5));
  TRY_ASSIGN(out.state, rollout::decode_state(row.text(6)));
  TRY_ASSIGN(out.thresholds, decode_thresholds(row.text(7)));
  out.savings.updates = row.integer(8);
  out.savings.by_delta = row.integer(9);
  out.savings.bytes_fetched = static_cast<std::uint64_t>(row.integer(10));
  out.savings.bytes_saved = static_cast<std::uint64_t>(row.integer(11));
  return out;
}

Result<std::vector<RolloutRow>> read_all(db::Statement& row) {
  std::vector<RolloutRow> all;
  for (;;) {
    TRY_ASSIGN(const bool more, row.step());
    if (!more) return all;
    TRY_ASSIGN(RolloutRow one, read_row(row).within("rollout " + row.string(1)));
    all.push_back(std::move(one));
  }
}

Result<std::optional<RolloutRow>> read_first(db::Statement& row) {
  TRY_ASSIGN(std::vector<RolloutRow> all, read_all(row));
  if (all.empty()) return std::optional<RolloutRow>();
  return std::optional<RolloutRow>(std::move(all.front()));
}

std::string select(std::string_view rest) {
  return "SELECT " + std::string(kColumns) + " FROM rollout " + std::string(rest);
}

bool is_over(rollout::Phase phase) {
  return phase == rollout::Phase::aborted || phase == rollout::Phase::completed || phase == rollout::Phase::rolled_back;
}

}  // namespace

Result<std::optional<RolloutRow>> SqliteRollouts::find(std::string_view id) const {
  static const std::string sql = select("WHERE id = ?");
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  row.bind(id);
  return read_first(row);
}

Result<std::optional<RolloutRow>> SqliteRollouts::find_no(std::int64_t no) const {
  static const std::string sql = select("WHERE rollout_no = ?");
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  row.bind(no);
  return read_first(row);
}

Result<std::vector<RolloutRow>> SqliteRollouts::list(std::int64_t before, std::size_t limit) const {
  static const std::string sql = select("WHERE rollout_no < ? ORDER BY rollout_no DESC LIMIT ?");
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  row.bind(before > 0 ? before : INT64_MAX, static_cast<std::int64_t>(limit));
  return read_all(row);
}

Result<std::vector<RolloutRow>> SqliteRollouts::live() const {
  static const std::string sql = select("WHERE live = 1 ORDER BY rollout_no");
  TRY_ASSIGN(db::Statement row, db_.prepare(sql));
  return read_all(row);
}

Result<rollout::RolloutState> SqliteRollouts::state(std::int64_t no) const {
  TRY_ASSIGN(db::Statement row, db_.prepare("SELECT engine FROM rollout WHERE rollout_no = ?"));
  row.bind(no);
  TRY_ASSIGN(const bool found, row.step());
  if (!found) return Error(Code::not_found, "no rollout " + std::to_string(no));
  return rollout::decode_state(row.text(0));
}

Result<bool> SqliteRollouts::group_in_use(std::string_view group) const {
  TRY_ASSIGN(const std::int64_t used, db_.number("SELECT 1 FROM rollout WHERE live = 1 AND grp = ? LIMIT 1", 0, group));
  return used != 0;
}

Status SqliteRollouts::retire(std::string_view model) {
  return db_.run(
      "UPDATE rollout SET live = 0 WHERE live = 1 AND model = ? AND phase IN (?, ?, ?) AND rollout_no NOT IN "
      "(SELECT rollout_no FROM rollout WHERE live = 1 AND model = ? ORDER BY rollout_no DESC LIMIT ?)",
      model, static_cast<std::int64_t>(rollout::Phase::aborted), static_cast<std::int64_t>(rollout::Phase::completed),
      static_cast<std::int64_t>(rollout::Phase::rolled_back), model, kLiveRollouts);
}

Status SqliteRollouts::insert(RolloutRow& rollout) {
  TRY_ASSIGN(rollout.no, db_.number("SELECT coalesce(max(rollout_no), 0) + 1 FROM rollout", 1));
  rollout.id = "r" + std::to_string(rollout.no);
  TRY(db_.run("INSERT INTO rollout(rollout_no, id, name, model, release, grp, spec, salt, created_by, created_at, phase, "
              "engine, thresholds, live) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
              rollout.no, rollout.id, rollout.spec.name, rollout.spec.model, rollout.spec.release, rollout.spec.group,
              wire::encode(rollout.spec).dump(), rollout.salt, rollout.created_by, seconds(rollout.created_at),
              static_cast<std::int64_t>(rollout.state.phase), rollout::encode(rollout.state),
              encode(rollout.thresholds)));
  return retire(rollout.spec.model);
}

Status SqliteRollouts::update(const RolloutRow& rollout) {
  // Whoever is not over is live, whatever it was before: a completed rollout may be rolled back late.
  return db_.run("UPDATE rollout SET phase = ?, engine = ?, thresholds = ?, live = max(live, ?) WHERE rollout_no = ?",
                 static_cast<std::int64_t>(rollout.state.phase), rollout::encode(rollout.state),
                 encode(rollout.thresholds), is_over(rollout.state.phase) ? 0 : 1, rollout.no);
}

Status SqliteRollouts::add_savings(std::int64_t no, const wire::Savings& more) {
  return db_.run("UPDATE rollout SET updates = updates + ?, by_delta = by_delta + ?, bytes_fetched = bytes_fetched + ?, "
                 "bytes_saved = bytes_saved + ? WHERE rollout_no = ?",
                 more.updates, more.by_delta, static_cast<std::int64_t>(more.bytes_fetched),
                 static_cast<std::int64_t>(more.bytes_saved), no);
}

}  // namespace drover::store::sqlite
