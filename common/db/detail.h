// Internal to common/db: the one place that sees sqlite3.h.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/db/connection.h"

namespace drover::db {

struct Connection::Impl {
  sqlite3* handle = nullptr;
  // Idle statements by their text. One in use is not in here.
  std::unordered_map<std::string, sqlite3_stmt*> idle;
  std::vector<std::unique_ptr<ScalarFunction>> functions;
  std::int64_t work_limit = 0;
  std::int64_t work = 0;  // of the statement that runs, in instructions

  ~Impl();
};

// What SQLite said, as an Error.
Error error_of(int result, sqlite3* handle);
void count_statement();

}  // namespace drover::db
