#include "common/db/connection.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <limits>

#include "common/db/detail.h"

namespace drover::db {
namespace {

std::atomic<std::uint64_t> statements{0};
constexpr std::size_t kMaxSql = 1 << 20;
constexpr int kProgressStep = 10'000;  // instructions between two looks at the bound: costs nothing, and is soon enough

void call_scalar(sqlite3_context* context, int count, sqlite3_value** values) {
  std::vector<std::string_view> arguments(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const auto* data = reinterpret_cast<const char*>(sqlite3_value_text(values[i]));
    const auto size = static_cast<std::size_t>(sqlite3_value_bytes(values[i]));
    if (data != nullptr) arguments[static_cast<std::size_t>(i)] = std::string_view(data, size);
  }
  sqlite3_result_int64(context, (*static_cast<const ScalarFunction*>(sqlite3_user_data(context)))(arguments));
}

// Non-zero ends the statement.
int work_done(void* context) {
  auto& impl = *static_cast<Connection::Impl*>(context);
  impl.work += kProgressStep;
  return impl.work_limit != 0 && impl.work > impl.work_limit ? 1 : 0;
}

// SQLite would create the file with the process's umask; device keys and token hashes want 0600 from the start.
Status create_private(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Error(errno == ENOSPC ? Code::disk_full : Code::io, "cannot open " + file.string());
  ::close(fd);
  return {};
}

Status configure(Connection& connection, const OpenOptions& options) {
  TRY(connection.exec("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"));
  TRY(connection.exec("PRAGMA cache_size=-" + std::to_string(options.cache_bytes / 1024)));
  if (options.read_only) return connection.exec("PRAGMA query_only=ON");
  return connection.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
}

}  // namespace

std::uint64_t statements_run() { return statements.load(std::memory_order_relaxed); }
void count_statement() { statements.fetch_add(1, std::memory_order_relaxed); }

Error error_of(int result, sqlite3* handle) {
  const std::string message = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(result);
  const int extended = handle != nullptr ? sqlite3_extended_errcode(handle) : result;
  if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY)
    return Error(Code::already_exists, message);
  switch (result & 0xff) {
    case SQLITE_CONSTRAINT: return Error(Code::conflict, message);
    case SQLITE_FULL: return Error(Code::disk_full, message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Error(Code::unavailable, message);
    case SQLITE_INTERRUPT: return Error(Code::timeout, "the query takes too much work; make it narrower");
    case SQLITE_TOOBIG: return Error(Code::too_large, message);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return Error(Code::malformed, message);
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_READONLY: return Error(Code::io, message);
    default: return Error(Code::internal, message);
  }
}

Connection::Impl::~Impl() {
  for (auto& [text, statement] : idle) sqlite3_finalize(statement);
  sqlite3_close_v2(handle);
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::open(const std::filesystem::path& file, const OpenOptions& options) {
  if (!options.read_only) TRY(create_private(file));
  else if (!std::filesystem::exists(file)) return Error(Code::not_found, "no database at " + file.string());
  auto impl = std::make_unique<Impl>();
  // Read-only connections open read-write and are kept from writing by query_only: a WAL reader must write the index.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (const int result = sqlite3_open_v2(file.c_str(), &impl->handle, flags, nullptr); result != SQLITE_OK)
    return error_of(result, impl->handle).within("opening " + file.string());
  sqlite3_progress_handler(impl->handle, kProgressStep, work_done, impl.get());
  sqlite3_busy_timeout(impl->handle, static_cast<int>(options.busy_timeout.count()));
  Connection connection(std::move(impl));
  TRY(configure(connection, options).within("opening " + file.string()));
  return connection;
}

Result<Statement> Connection::prepare(std::string_view sql) {
  std::string key(sql);
  if (const auto found = impl_->idle.find(key); found != impl_->idle.end()) {
    sqlite3_stmt* const handle = found->second;
    impl_->idle.erase(found);
    return Statement(*this, handle, std::move(key));
  }
  TRY_ASSIGN(Statement statement, prepare_once(sql));
  statement.key_ = std::move(key);
  return statement;
}

Result<Statement> Connection::prepare_once(std::string_view sql) {
  if (sql.size() > kMaxSql) return Error(Code::too_large, "an SQL statement is too long");
  sqlite3_stmt* handle = nullptr;
  const int result = sqlite3_prepare_v3(impl_->handle, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (result != SQLITE_OK) {
    const std::string head(sql.substr(0, 200));
    return error_of(result, impl_->handle).within("preparing \"" + head + "\"");
  }
  if (handle == nullptr) return Error(Code::internal, "an empty SQL statement");
  return Statement(*this, handle, "");
}

Status Connection::exec(std::string_view sql) {
  count_statement();
  const std::string text(sql);
  const int result = sqlite3_exec(impl_->handle, text.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(result, impl_->handle);
  return {};
}

void Connection::limit_work(std::int64_t instructions) { impl_->work_limit = instructions; }

bool Connection::in_transaction() const { return sqlite3_get_autocommit(impl_->handle) == 0; }
std::int64_t Connection::last_insert_id() const { return sqlite3_last_insert_rowid(impl_->handle); }
std::int64_t Connection::changes() const { return sqlite3_changes64(impl_->handle); }

Status Connection::define(std::string_view name, int arity, ScalarFunction function) {
  impl_->functions.push_back(std::make_unique<ScalarFunction>(std::move(function)));
  const std::string text(name);
  const int result = sqlite3_create_function_v2(impl_->handle, text.c_str(), arity,
                                                SQLITE_UTF8 | SQLITE_DETERMINISTIC, impl_->functions.back().get(),
                                                call_scalar, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(result, impl_->handle);
  return {};
}

}  // namespace drover::db
