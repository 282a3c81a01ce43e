// People's tokens, enrolment tokens, the audit log and what makes repeated requests harmless.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/time/clock.h"
#include "proto/wire/audit.h"
#include "server/audit/chain.h"
#include "server/auth/access.h"

namespace drover::store {

struct TokenRow {
  std::string id;
  std::string hash;  // auth::token_hash
  std::string name;
  auth::Role role = auth::Role::viewer;
  WallTime created_at{};
  WallTime expires{};
};
inline constexpr std::size_t kMaxTokens = 10'000;  // they stand in memory

class Tokens {
 public:
  virtual ~Tokens() = default;
  virtual Result<std::vector<TokenRow>> all() const = 0;
  virtual Status insert(const TokenRow& token) = 0;
  virtual Result<bool> remove(std::string_view id) = 0;
};

struct EnrolmentTokenRow {
  std::string id;
  std::string hash;
  std::string name;
  std::vector<std::string> tags;  // given to every device that enrols with it
  WallTime created_at{};
  WallTime expires{};
  std::int64_t uses_left = 0;
};
inline constexpr std::size_t kMaxEnrolmentTokens = 10'000;

class EnrolmentTokens {
 public:
  virtual ~EnrolmentTokens() = default;
  virtual Result<std::vector<EnrolmentTokenRow>> all() const = 0;
  virtual Result<std::optional<EnrolmentTokenRow>> find_hash(std::string_view hash) const = 0;
  virtual Status insert(const EnrolmentTokenRow& token) = 0;
  virtual Status use(std::string_view id) = 0;
  virtual Result<bool> remove(std::string_view id) = 0;
};

class AuditLog {
 public:
  virtual ~AuditLog() = default;
  virtual Result<std::vector<wire::AuditEntry>> list(std::int64_t after, std::size_t limit) const = 0;
  // The end of the chain.
  virtual Result<audit::Head> head() const = 0;
  virtual Status insert(const wire::AuditEntry& entry) = 0;
};

// The answer to a request that carried an Idempotency-Key.
struct KeptAnswer {
  std::string request;  // digest of method, path and body
  int status = 0;
  std::string headers;
  std::string body;
};
inline constexpr std::chrono::seconds kAnswersKept{24 * 3600};

class Answers {
 public:
  virtual ~Answers() = default;
  virtual Result<std::optional<KeptAnswer>> find(std::string_view actor, std::string_view key) const = 0;
  virtual Status insert(std::string_view actor, std::string_view key, const KeptAnswer& answer, WallTime at) = 0;
  virtual Status forget_before(WallTime at) = 0;
};

struct UploadRow {
  std::string id;
  std::string digest;  // "sha256:..."
  std::uint64_t size = 0;
  std::uint64_t stored = 0;  // bytes on disk for good
  std::string created_by;
  WallTime created_at{};
};
inline constexpr std::int64_t kMaxUploads = 1000;  // under way at once

class Uploads {
 public:
  virtual ~Uploads() = default;
  virtual Result<std::optional<UploadRow>> find(std::string_view id) const = 0;
  virtual Result<std::optional<UploadRow>> find_digest(std::string_view digest) const = 0;
  virtual Result<std::int64_t> count() const = 0;
  virtual Result<std::vector<UploadRow>> older_than(WallTime at, std::size_t limit) const = 0;
  virtual Status insert(const UploadRow& upload) = 0;
  virtual Status set_stored(std::string_view id, std::uint64_t stored) = 0;
  virtual Status remove(std::string_view id) = 0;
};

}  // namespace drover::store
