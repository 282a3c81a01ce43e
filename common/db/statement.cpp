#include "common/db/statement.h"

#include <utility>

#include "common/db/detail.h"

namespace drover::db {

Statement::Statement(Connection& owner, sqlite3_stmt* handle, std::string key)
    : owner_(&owner), handle_(handle), key_(std::move(key)) {}

Statement::Statement(Statement&& other) noexcept
    : owner_(other.owner_),
      handle_(std::exchange(other.handle_, nullptr)),
      key_(std::move(other.key_)),
      next_(other.next_),
      begun_(other.begun_),
      fault_(other.fault_) {}

Statement::~Statement() {
  if (handle_ == nullptr) return;
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
  auto& idle = owner_->impl_->idle;
  if (!key_.empty() && idle.size() < kMaxCachedStatements && idle.try_emplace(std::move(key_), handle_).second) return;
  sqlite3_finalize(handle_);
}

void Statement::note(int result) {
  if (fault_ == SQLITE_OK && result != SQLITE_OK) fault_ = result;
}

void Statement::bind_one(std::int64_t value) { note(sqlite3_bind_int64(handle_, next_++, value)); }
void Statement::bind_one(double value) { note(sqlite3_bind_double(handle_, next_++, value)); }
void Statement::bind_one(std::string_view value) {
  // A null pointer would bind NULL; empty text is not NULL here.
  const char* data = value.data() == nullptr ? "" : value.data();
  note(sqlite3_bind_text64(handle_, next_++, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

Statement& Statement::bind_blob(ByteView value) {
  const void* data = value.data() == nullptr ? static_cast<const void*>("") : value.data();
  note(sqlite3_bind_blob64(handle_, next_++, data, value.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null() {
  note(sqlite3_bind_null(handle_, next_++));
  return *this;
}

Result<bool> Statement::step() {
  if (fault_ != SQLITE_OK) return Error(Code::internal, std::string("binding: ") + sqlite3_errstr(fault_));
  if (!begun_) {
    count_statement();
    owner_->impl_->work = 0;
    begun_ = true;
  }
  const int result = sqlite3_step(handle_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  Error error = error_of(result, owner_->impl_->handle);
  sqlite3_reset(handle_);
  return error;
}

Status Statement::run() {
  while (true) {
    TRY_ASSIGN(const bool row, step());
    if (!row) break;
  }
  reset();
  return {};
}

void Statement::reset() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
  next_ = 1;
  fault_ = SQLITE_OK;
  begun_ = false;
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }
double Statement::real(int column) const { return sqlite3_column_double(handle_, column); }
bool Statement::null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

ByteView Statement::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(handle_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

}  // namespace drover::db
