// Models' releases with their variants, and the TUF metadata that lists them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/time/clock.h"

namespace drover::store {

struct VariantRow {
  std::string kind;
  std::string architecture;
  std::string precision;
  std::string manifest;    // "sha256:..."
  std::int64_t bytes = 0;  // of its files
  bool encrypted = false;
};

// The numbers stand in the database.
enum class ReleaseState : std::uint8_t { published = 0, withdrawn = 1 };

struct ReleaseRow {
  std::int64_t no = 0;
  std::string model;
  std::string version;
  ReleaseState state = ReleaseState::published;
  std::string index_digest;  // "sha256:..."
  std::int64_t index_size = 0;
  std::int64_t release_counter = 0;
  WallTime published_at{};
  std::vector<VariantRow> variants;  // sorted by kind
};

// The key of a confidential package, as people handed it over: in a box that only the wrapping key opens.
struct ContentKeyRow {
  std::string package;       // "sha256:<manifest>"
  std::string wrapping_key;  // its public half, in hex
  std::string sealed;        // in hex
  std::string handed_by;
  WallTime handed_at{};
};

class Releases {
 public:
  virtual ~Releases() = default;
  // In the order of publication.
  virtual Result<std::vector<ReleaseRow>> all() const = 0;
  virtual Status insert(const ReleaseRow& release) = 0;
  // State and counter.
  virtual Status update(const ReleaseRow& release) = 0;
  virtual Result<std::optional<ContentKeyRow>> content_key(std::string_view package) const = 0;
  // In the place of one that is there.
  virtual Status put_content_key(const ContentKeyRow& key) = 0;
};

struct MetadataRow {
  std::string role;
  std::int64_t version = 0;
  std::string bytes;
};

class Metadata {
 public:
  virtual ~Metadata() = default;
  virtual Result<std::optional<MetadataRow>> find(std::string_view role, std::int64_t version) const = 0;
  virtual Result<std::optional<MetadataRow>> latest(std::string_view role) const = 0;
  // The newest of each role.
  virtual Result<std::vector<MetadataRow>> current() const = 0;
  // already_exists for a version that is there: what was published is never rewritten.
  virtual Status insert(const MetadataRow& file) = 0;
  // Drops versions of a role below `version`.
  virtual Status forget_below(std::string_view role, std::int64_t version) = 0;
};

}  // namespace drover::store
