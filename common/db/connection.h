// SQLite, behind a small seam. A Connection is used by one thread at a time: it may go from thread to thread, is never
// shared, and is not moved while a Statement or Transaction of it lives. WAL and synchronous=FULL: what a committed
// transaction wrote survives a power cut. Foreign keys are on.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/db/statement.h"

struct sqlite3;

namespace drover::db {

inline constexpr std::size_t kMaxCachedStatements = 256;  // a server uses about 150 different ones

struct OpenOptions {
  bool read_only = false;  // the file must exist
  std::chrono::milliseconds busy_timeout{5000};  // waits so long for another connection's lock, then unavailable
  std::int64_t cache_bytes = 2 << 20;  // of pages, per connection: bounds the memory whatever the file's size
};

// Called for each row with the arguments as text (NULL: empty). Must be pure: the same arguments, the same answer.
using ScalarFunction = std::function<std::int64_t(std::span<const std::string_view>)>;

class Connection {
 public:
  // Creates the file (mode 0600) when it is absent and not read_only. Errors: not_found, io, malformed (no SQLite file).
  static Result<Connection> open(const std::filesystem::path& file, const OpenOptions& options = {});
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // Prepared statements are kept and used again by their text: call it each time, with literals. Bounded by
  // kMaxCachedStatements, beyond which a statement is prepared anew.
  Result<Statement> prepare(std::string_view sql);
  // The same without keeping it: for text that is put together.
  Result<Statement> prepare_once(std::string_view sql);
  // One or more statements without parameters and rows.
  Status exec(std::string_view sql);
  // prepare, bind, run.
  template <class... Args>
  Status run(std::string_view sql, const Args&... values) {
    TRY_ASSIGN(Statement statement, prepare(sql));
    statement.bind(values...);
    return statement.run();
  }
  // The first column of the first row as a number; `fallback` without a row.
  template <class... Args>
  Result<std::int64_t> number(std::string_view sql, std::int64_t fallback, const Args&... values) {
    TRY_ASSIGN(Statement statement, prepare(sql));
    statement.bind(values...);
    TRY_ASSIGN(const bool found, statement.step());
    return found ? statement.integer(0) : fallback;
  }

  // False when there was none, or an error (a full disk, say) has undone it.
  bool in_transaction() const;
  std::int64_t last_insert_id() const;
  std::int64_t changes() const;  // rows changed by the last INSERT, UPDATE or DELETE

  // A statement that takes more than about so many of the engine's instructions ends with `timeout`; 0: no bound (the
  // default). 100 million are about a second, and unlike a second they are the same on every machine.
  void limit_work(std::int64_t instructions);

  // Makes `name`(arity arguments) known to SQL as a deterministic function.
  Status define(std::string_view name, int arity, ScalarFunction function);

  struct Impl;  // internal

 private:
  friend class Statement;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Statements begun by this process so far, over all connections: a metric, and the proof that a path does no I/O.
std::uint64_t statements_run();

}  // namespace drover::db
