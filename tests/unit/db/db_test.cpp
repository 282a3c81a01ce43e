#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "common/db/connection.h"
#include "common/db/transaction.h"

namespace drover::db {
namespace {

class Db : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "drover-db-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path file() const { return folder_ / "test.db"; }
  Connection open(const OpenOptions& options = {}) {
    auto connection = Connection::open(file(), options);
    EXPECT_TRUE(connection.has_value());
    return std::move(*connection);
  }

  std::filesystem::path folder_;
};

TEST_F(Db, KeepsWhatWasBoundWithItsTypes) {
  Connection db = open();
  ASSERT_TRUE(db.exec("CREATE TABLE t(a, b, c, d, e)"));
  auto insert = db.prepare("INSERT INTO t VALUES(?, ?, ?, ?, ?)");
  const std::array<std::uint8_t, 3> raw = {0, 1, 255};
  insert->bind(INT64_MIN, 0.5, std::string_view("a\0b", 3)).bind_blob(raw).bind_optional(std::optional<std::string>());
  ASSERT_TRUE(insert->run());
  auto select = db.prepare("SELECT a, b, c, d, e FROM t");
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->integer(0), INT64_MIN);
  EXPECT_EQ(select->real(1), 0.5);
  EXPECT_EQ(select->text(2), std::string_view("a\0b", 3));
  EXPECT_EQ(select->blob(3).size(), 3U);
  EXPECT_EQ(select->blob(3)[2], 255);
  EXPECT_TRUE(select->null(4));
  EXPECT_FALSE(*select->step());
}

TEST_F(Db, EmptyTextIsNotNull) {
  Connection db = open();
  ASSERT_TRUE(db.exec("CREATE TABLE t(a TEXT NOT NULL)"));
  EXPECT_TRUE(db.run("INSERT INTO t VALUES(?)", std::string_view()));
}

TEST_F(Db, TooManyParametersAreAFaultOfTheNextStep) {
  Connection db = open();
  auto statement = db.prepare("SELECT ?");
  statement->bind(1, 2);
  EXPECT_EQ(statement->step().error().code(), Code::internal);
}

TEST_F(Db, ADuplicateKeyIsAlreadyExistsAndABrokenReferenceIsConflict) {
  Connection db = open();
  ASSERT_TRUE(db.exec("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p(id))"));
  ASSERT_TRUE(db.run("INSERT INTO p VALUES(1)"));
  EXPECT_EQ(db.run("INSERT INTO p VALUES(1)").error().code(), Code::already_exists);
  EXPECT_EQ(db.run("INSERT INTO c VALUES(7)").error().code(), Code::conflict);
}

TEST_F(Db, AFullDiskIsReportedAsSuchAndNothingIsLost) {
  Connection db = open();
  ASSERT_TRUE(db.exec("CREATE TABLE t(a); PRAGMA max_page_count=8"));
  ASSERT_TRUE(db.run("INSERT INTO t VALUES(?)", "first"));
  EXPECT_EQ(db.run("INSERT INTO t VALUES(?)", std::string(1 << 20, 'x')).error().code(), Code::disk_full);
  EXPECT_EQ(*db.number("SELECT count(*) FROM t", -1), 1);
}

TEST_F(Db, ATransactionThatIsNotCommittedLeavesNothing) {
  Connection db = open();
  ASSERT_TRUE(db.exec("CREATE TABLE t(a)"));
  {
    auto transaction = Transaction::begin(db);
    ASSERT_TRUE(db.run("INSERT INTO t VALUES(1)"));
  }
  EXPECT_EQ(*db.number("SELECT count(*) FROM t", -1), 0);
}

TEST_F(Db, ASavepointUndoesItsOwnPartOnly) {
  Connection db = open();
  ASSERT_TRUE(db.exec("CREATE TABLE t(a)"));
  auto transaction = Transaction::begin(db);
  {
    auto kept = Savepoint::begin(db);
    ASSERT_TRUE(db.run("INSERT INTO t VALUES(1)"));
    ASSERT_TRUE(kept->release());
  }
  {
    auto undone = Savepoint::begin(db);
    ASSERT_TRUE(db.run("INSERT INTO t VALUES(2)"));
  }
  ASSERT_TRUE(transaction->commit());
  EXPECT_EQ(*db.number("SELECT sum(a) FROM t", -1), 1);
}

TEST_F(Db, AWriterThatMeetsALockBeyondItsTimeoutIsToldToTryLater) {
  Connection first = open();
  Connection second = open({.busy_timeout = std::chrono::milliseconds(1)});
  ASSERT_TRUE(first.exec("CREATE TABLE t(a)"));
  auto transaction = Transaction::begin(first);
  EXPECT_EQ(Transaction::begin(second).error().code(), Code::unavailable);
}

TEST_F(Db, AReadOnlyConnectionSeesCommittedRowsAndCannotWrite) {
  EXPECT_EQ(Connection::open(file(), {.read_only = true}).error().code(), Code::not_found);
  Connection writer = open();
  ASSERT_TRUE(writer.exec("CREATE TABLE t(a)"));
  Connection reader = open({.read_only = true});
  ASSERT_TRUE(writer.run("INSERT INTO t VALUES(1)"));
  EXPECT_EQ(*reader.number("SELECT count(*) FROM t", -1), 1);
  EXPECT_EQ(reader.run("INSERT INTO t VALUES(1)").error().code(), Code::io);
}

TEST_F(Db, AFileThatIsNoDatabaseIsMalformed) {
  FILE* out = std::fopen(file().c_str(), "w");
  std::fputs("this is certainly no database, however long one looks at it, and it is over a hundred bytes long, too", out);
  std::fclose(out);
  EXPECT_EQ(Connection::open(file()).error().code(), Code::malformed);
}

TEST_F(Db, FunctionsOfOursAnswerInSql) {
  Connection db = open();
  ASSERT_TRUE(db.define("lengths", 2, [](std::span<const std::string_view> in) {
    return static_cast<std::int64_t>(in[0].size() * 10 + in[1].size());
  }));
  EXPECT_EQ(*db.number("SELECT lengths('abc', ?)", -1, "xy"), 32);
}

TEST_F(Db, EveryStatementIsCounted) {
  Connection db = open();
  const std::uint64_t before = statements_run();
  ASSERT_TRUE(db.number("SELECT 1", -1));
  EXPECT_EQ(statements_run(), before + 1);
}

TEST_F(Db, AStatementThatTakesTooMuchWorkIsEnded) {
  constexpr std::string_view kEndless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
  Connection db = open();
  db.limit_work(1'000'000);
  EXPECT_EQ(db.number(kEndless, 0).error().code(), Code::timeout);
  EXPECT_EQ(*db.number("SELECT 7", 0), 7) << "the bound holds for each statement anew";
}

constexpr std::int32_t kApplication = 0x64726f76;

TEST_F(Db, MigrationsRunOnceAndInOrder) {
  constexpr std::array<std::string_view, 1> kFirst = {"CREATE TABLE a(x)"};
  constexpr std::array<std::string_view, 2> kBoth = {"CREATE TABLE a(x)", "INSERT INTO a VALUES(1)"};
  Connection db = open();
  ASSERT_TRUE(migrate(db, kApplication, kFirst));
  ASSERT_TRUE(migrate(db, kApplication, kBoth));
  ASSERT_TRUE(migrate(db, kApplication, kBoth));
  EXPECT_EQ(*db.number("SELECT count(*) FROM a", -1), 1);
  EXPECT_EQ(migrate(db, kApplication, kFirst).error().code(), Code::unsupported) << "written by a newer version";
  EXPECT_EQ(migrate(db, kApplication + 1, kBoth).error().code(), Code::unsupported) << "another program's file";
}

TEST_F(Db, AMigrationThatFailsHalfwayLeavesTheOldForm) {
  constexpr std::array<std::string_view, 2> kBroken = {"CREATE TABLE a(x)", "CREATE TABLE b(y); INSERT INTO nowhere VALUES(1)"};
  Connection db = open();
  EXPECT_FALSE(migrate(db, kApplication, kBroken));
  EXPECT_EQ(*db.number("PRAGMA user_version", -1), 1);
  EXPECT_EQ(*db.number("SELECT count(*) FROM sqlite_master WHERE name = 'b'", -1), 0);
}

}  // namespace
}  // namespace drover::db
