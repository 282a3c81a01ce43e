// A transaction, and a savepoint within one. Rolled back at the end of the scope unless commit() succeeded.
#pragma once

#include <span>
#include <string_view>

#include "common/base/result.h"
#include "common/db/connection.h"

namespace drover::db {

class Transaction {
 public:
  // Takes the write lock at once, so that it cannot fail later for want of it.
  static Result<Transaction> begin(Connection& connection);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  // Durable when it returns ok. After an error nothing of it is stored.
  Status commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// Within a transaction; may nest.
class Savepoint {
 public:
  static Result<Savepoint> begin(Connection& connection);
  Savepoint(Savepoint&& other) noexcept;
  Savepoint& operator=(Savepoint&&) = delete;
  ~Savepoint();
  Status release();

 private:
  explicit Savepoint(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// Brings the file to the newest form. Migration i (from 0) takes it from user_version i to i + 1, each in a transaction of
// its own. `application_id` marks files of this program; 0 in an empty file, and otherwise must be equal.
// Errors: unsupported (written by a newer version, or by another program); internal (a migration left broken references).
Status migrate(Connection& connection, std::int32_t application_id, std::span<const std::string_view> migrations);

}  // namespace drover::db
