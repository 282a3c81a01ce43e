// The promise of the query language: memory and SQL give the same answer, on a real SQLite, for thousands of random
// queries and devices.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/rng/rng.h"
#include "server/fleet/query.h"
#include "server/fleet/value.h"

namespace drover::fleet {
namespace {

class Database {
 public:
  Database() {
    EXPECT_EQ(sqlite3_open(":memory:", &db_), SQLITE_OK);
    run("CREATE TABLE device (device_no INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,"
        " state INTEGER NOT NULL)");
    run("CREATE TABLE device_attribute (device_no INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, num REAL,"
        " semver TEXT, PRIMARY KEY (device_no, key))");
    run("CREATE TABLE device_tag (device_no INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (device_no, tag))");
  }
  ~Database() { sqlite3_close(db_); }

  void add(std::int64_t no, const DeviceView& device) {
    run("INSERT INTO device VALUES (?, ?, ?, ?, ?)",
        {no, device.id, device.name, device.kind, static_cast<std::int64_t>(device.state)});
    for (const auto& [key, value] : device.attributes) {
      run("INSERT INTO device_attribute (device_no, key, value) VALUES (?, ?, ?)", {no, key, value});
      if (const auto num = number_of(value))
        run("UPDATE device_attribute SET num = ? WHERE device_no = ? AND key = ?", {*num, no, key});
      if (const auto semver = semver_key_of(value))
        run("UPDATE device_attribute SET semver = ? WHERE device_no = ? AND key = ?", {*semver, no, key});
    }
    for (const std::string& tag : device.tags) run("INSERT INTO device_tag VALUES (?, ?)", {no, tag});
  }

  std::set<std::int64_t> select(const SqlPredicate& predicate) {
    return run("SELECT d.device_no FROM device d WHERE " + predicate.where, predicate.parameters);
  }

  std::set<std::int64_t> run(const std::string& sql, const std::vector<SqlValue>& parameters = {}) {
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sqlite3_errmsg(db_) << "\n"
                                                                                        << sql;
    EXPECT_EQ(static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)), parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) bind(statement, static_cast<int>(i + 1), parameters[i]);
    std::set<std::int64_t> rows;
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) rows.insert(sqlite3_column_int64(statement, 0));
    EXPECT_EQ(step, SQLITE_DONE) << sqlite3_errmsg(db_);
    sqlite3_finalize(statement);
    return rows;
  }

 private:
  static void bind(sqlite3_stmt* statement, int at, const SqlValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value))
      sqlite3_bind_int64(statement, at, *number);
    else if (const auto* real = std::get_if<double>(&value))
      sqlite3_bind_double(statement, at, *real);
    else {
      const auto& text = std::get<std::string>(value);
      sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    }
  }
  sqlite3* db_ = nullptr;
};

// Few and colliding values, so that conditions hold about as often as not.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : rng_(seed) {}

  DeviceView device(std::int64_t no) {
    DeviceView device{.id = std::to_string(no),
                      .name = value(),
                      .kind = value(),
                      .state = static_cast<DeviceState>(rng_.below(3)),
                      .attributes = {},
                      .tags = {}};
    std::map<std::string, std::string> attributes;
    for (const char* key : {"a", "b", "c d", "é"})
      if (rng_.below(3) != 0) attributes[key] = value();
    device.attributes.assign(attributes.begin(), attributes.end());
    for (const char* tag : {"lab", "x y"})
      if (rng_.below(2) == 0) device.tags.emplace_back(tag);
    return device;
  }

  std::string query(int depth = 0) {
    switch (rng_.below(depth > 4 ? 4 : 8)) {
      case 4:
        return "not " + query(depth + 1);
      case 5:
        return "(" + query(depth + 1) + " and " + query(depth + 1) + ")";
      case 6:
        return "(" + query(depth + 1) + " or " + query(depth + 1) + ")";
      case 7:
        return query(depth + 1) + " and " + query(depth + 1) + " or " + query(depth + 1);
      default:
        return term();
    }
  }

 private:
  template <std::size_t N>
  std::string pick(const char* const (&from)[N]) {
    return from[rng_.below(N)];
  }

  std::string value() {
    static const char* const kValues[] = {"",
                                          "0",
                                          "-0",
                                          "1",
                                          "1.0",
                                          "9.5",
                                          "10",
                                          "007",
                                          "1e3",
                                          "2.9.0",
                                          "2.10.1",
                                          "2.10.1-rc.1",
                                          "2.10.1-rc.2",
                                          "2.10.1-alpha",
                                          "2.10.1+b",
                                          "2.10",
                                          "eu",
                                          "EU",
                                          "Eu-West",
                                          "us",
                                          "100%",
                                          "a_b",
                                          "a\\b",
                                          "Köln",
                                          "KÖLN",
                                          "日本",
                                          "z",
                                          "9007199254740993",
                                          "9007199254740992",
                                          "-1"};
    return pick(kValues);
  }

  std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out + '"';
  }

  std::string pattern() {
    static const char* const kParts[] = {"%",   "_",   "e",    "E", "u", "1",  ".", "10", "2.", "-",
                                         "\\%", "\\_", "\\\\", "ö", "Ö", "本", "k", "ln", "0"};
    std::string out = "\"";
    for (std::uint64_t i = rng_.below(5); i > 0; --i) out += pick(kParts);
    return out + '"';
  }

  std::string field() {
    static const char* const kFields[] = {"id",     "name",         "kind",       "attr.a",
                                          "attr.b", "attr.\"c d\"", "attr.\"é\"", "attr.none"};
    return pick(kFields);
  }

  std::string term() {
    static const char* const kOps[] = {" = ", " != ", " < ", " <= ", " > ", " >= "};
    static const char* const kFixed[] = {"all",
                                         "tag:lab",
                                         "tag:\"x y\"",
                                         "tag:none",
                                         "exists attr.a",
                                         "exists attr.\"é\"",
                                         "exists attr.none",
                                         "state = 'active'",
                                         "state != 'pending'",
                                         "state in ('decommissioned', 'pending')"};
    switch (rng_.below(6)) {
      case 0:
        return pick(kFixed);
      case 1:
        return field() + " like " + pattern();
      case 2:
        return field() + " in (" + quoted(value()) + ", " + quoted(value()) + ")";
      default:
        return field() + pick(kOps) + quoted(value());
    }
  }

  SeededRng rng_;
};

TEST(QuerySql, AgreesWithMemoryForEveryRandomQueryAndDevice) {
  Generator generator(20240607);
  Database database;
  std::vector<DeviceView> devices;
  for (std::int64_t no = 0; no < 60; ++no) {
    devices.push_back(generator.device(no));
    database.add(no, devices.back());
  }
  std::int64_t held = 0, asked = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = generator.query();
    const auto query = Query::parse(text);
    ASSERT_TRUE(query.has_value()) << text << "\n" << query.error().message();
    std::set<std::int64_t> in_memory;
    for (std::size_t no = 0; no < devices.size(); ++no)
      if (matches(*query, devices[no])) in_memory.insert(static_cast<std::int64_t>(no));
    const SqlPredicate predicate = to_sql(*query);
    ASSERT_EQ(database.select(predicate), in_memory) << text << "\n" << predicate.where;
    held += static_cast<std::int64_t>(in_memory.size());
    asked += static_cast<std::int64_t>(devices.size());
  }
  // The generator must not have degenerated into conditions that always or never hold.
  EXPECT_GT(held, asked / 5);
  EXPECT_LT(held, asked * 4 / 5);
}

TEST(QuerySql, PutsNoTextOfTheQueryIntoTheStatement) {
  const auto query =
      Query::parse(R"(attr."x'); DROP TABLE device; --" = "'; DROP TABLE device; --" or tag:"') OR 1=1 --")");
  ASSERT_TRUE(query.has_value()) << query.error().message();
  const SqlPredicate predicate = to_sql(*query);
  EXPECT_EQ(predicate.where.find("DROP"), std::string::npos);
  EXPECT_EQ(predicate.where.find("--"), std::string::npos);
  EXPECT_EQ(predicate.parameters.size(), 3u);
  Database database;
  database.add(1, {.id = "d1", .name = "n", .kind = "k", .state = DeviceState::active, .attributes = {}, .tags = {}});
  EXPECT_TRUE(database.select(predicate).empty());
}

TEST(QuerySql, TakesTheLargestQueryThatParses) {
  std::string text = "attr.a in (0";
  for (int i = 0; i < 100; ++i) text += ",1.2." + std::to_string(i);
  text += ")";
  for (int i = 0; i < 155; ++i) text += " or attr.a = " + std::to_string(i);
  for (int i = 0; i < kMaxQueryDepth; ++i) text = "(" + text + ")";
  const auto query = Query::parse(text);
  ASSERT_TRUE(query.has_value()) << query.error().message();
  Database database;
  EXPECT_TRUE(database.select(to_sql(*query)).empty());
  const auto nots = Query::parse("not not not not not not not not not not not not not not not not " +
                                 text.substr(16, text.size() - 32));
  ASSERT_TRUE(nots.has_value()) << nots.error().message();
  EXPECT_TRUE(database.select(to_sql(*nots)).empty());
}

}  // namespace
}  // namespace drover::fleet
