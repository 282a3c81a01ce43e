#include "common/db/transaction.h"

#include <string>
#include <utility>

namespace drover::db {

Result<Transaction> Transaction::begin(Connection& connection) {
  TRY(connection.run("BEGIN IMMEDIATE"));
  return Transaction(connection);
}

Transaction::Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}

Transaction::~Transaction() {
  // Some errors have rolled back already; then this one fails, and that is right.
  if (connection_ != nullptr) (void)connection_->run("ROLLBACK").has_value();
}

Status Transaction::commit() {
  Connection& connection = *std::exchange(connection_, nullptr);
  Status status = connection.run("COMMIT");
  if (!status) (void)connection.run("ROLLBACK").has_value();
  return status;
}

Result<Savepoint> Savepoint::begin(Connection& connection) {
  TRY(connection.run("SAVEPOINT one"));
  return Savepoint(connection);
}

Savepoint::Savepoint(Savepoint&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}

Savepoint::~Savepoint() {
  if (connection_ == nullptr) return;
  (void)connection_->run("ROLLBACK TO one").has_value();
  (void)connection_->run("RELEASE one").has_value();
}

Status Savepoint::release() { return std::exchange(connection_, nullptr)->run("RELEASE one"); }

namespace {

Status apply(Connection& connection, std::string_view sql, std::size_t version) {
  TRY_ASSIGN(Transaction transaction, Transaction::begin(connection));
  TRY(connection.exec(sql));
  {
    TRY_ASSIGN(Statement check, connection.prepare("PRAGMA foreign_key_check"));
    TRY_ASSIGN(const bool broken, check.step());
    if (broken) return Error(Code::internal, "broken references in table " + check.string(0));
  }
  TRY(connection.exec("PRAGMA user_version=" + std::to_string(version)));
  return transaction.commit();
}

}  // namespace

Status migrate(Connection& connection, std::int32_t application_id, std::span<const std::string_view> migrations) {
  TRY_ASSIGN(const std::int64_t version, connection.number("PRAGMA user_version", 0));
  TRY_ASSIGN(const std::int64_t marked, connection.number("PRAGMA application_id", 0));
  if (marked != application_id && (marked != 0 || version != 0))
    return Error(Code::unsupported, "the database belongs to another program");
  if (version < 0 || static_cast<std::size_t>(version) > migrations.size())
    return Error(Code::unsupported, "the database was written by a newer version (form " + std::to_string(version) +
                                        ", known here up to " + std::to_string(migrations.size()) + ")");
  if (marked == 0) TRY(connection.exec("PRAGMA application_id=" + std::to_string(application_id)));
  for (auto next = static_cast<std::size_t>(version); next < migrations.size(); ++next)
    TRY(apply(connection, migrations[next], next + 1).within("migrating the database to form " + std::to_string(next + 1)));
  return {};
}

}  // namespace drover::db
