// A prepared SQL statement of one Connection. Used by the connection's thread only, and must not outlive it.
//
//   TRY_ASSIGN(db::Statement find, connection.prepare("SELECT name FROM device WHERE id = ?"));
//   find.bind(id);
//   TRY_ASSIGN(const bool found, find.step());
//   if (found) use(find.text(0));
//
// Binding goes from left to right; a fault in binding is kept and returned by the next step().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

struct sqlite3_stmt;

namespace drover::db {

class Connection;

class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  Statement(const Statement&) = delete;
  ~Statement();  // resets, and gives the statement back to the connection's cache

  // Bind the next parameter(s). Text and blobs are copied.
  template <class... Args>
  Statement& bind(const Args&... values) {
    (bind_one(values), ...);
    return *this;
  }
  // Null when empty.
  template <class T>
  Statement& bind_optional(const std::optional<T>& value) {
    if (value) bind_one(*value);
    else bind_null();
    return *this;
  }
  Statement& bind_blob(ByteView value);
  Statement& bind_null();

  // True: a row stands ready. False: done. Errors: already_exists (a UNIQUE or PRIMARY KEY constraint), conflict
  // (another constraint), disk_full, unavailable (busy beyond the timeout), io, internal.
  Result<bool> step();
  // For statements without rows: runs to the end, then stands ready for new parameters.
  Status run();
  // Forgets position and parameters.
  void reset();

  // Columns of the current row, from 0. NULL reads as 0 or empty. Views hold until the next step() or reset().
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;
  std::string string(int column) const { return std::string(text(column)); }
  ByteView blob(int column) const;
  bool null(int column) const;

 private:
  friend class Connection;
  Statement(Connection& owner, sqlite3_stmt* handle, std::string key);
  void bind_one(std::int64_t value);
  void bind_one(int value) { bind_one(static_cast<std::int64_t>(value)); }
  void bind_one(std::uint64_t value) { bind_one(static_cast<std::int64_t>(value)); }
  void bind_one(bool value) { bind_one(static_cast<std::int64_t>(value)); }
  void bind_one(double value);
  void bind_one(std::string_view value);
  void bind_one(const std::string& value) { bind_one(std::string_view(value)); }
  void bind_one(const char* value) { bind_one(std::string_view(value)); }
  void note(int result);

  Connection* owner_;
  sqlite3_stmt* handle_;
  std::string key_;  // the SQL when it came from the cache, else empty
  int next_ = 1;
  bool begun_ = false;
  int fault_ = 0;
};

}  // namespace drover::db
