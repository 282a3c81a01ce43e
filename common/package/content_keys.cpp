#include "common/package/content_keys.h"

#include <algorithm>

#include "common/crypto/secret.h"
#include "common/package/manifest.h"
#include "proto/json/reader.h"

namespace drover::package {
namespace {

constexpr std::size_t kMaxText = 256;

struct Row {
  std::string kind, package, key;
};

Result<PackageKey> read_key(Row& row) {
  TRY_ASSIGN(const crypto::Digest package, crypto::Digest::parse(row.package));
  auto raw = from_hex(row.key);
  crypto::wipe(row.key);
  if (!raw) return Error(Code::malformed, "the key for " + row.kind + " is not hexadecimal");
  auto key = crypto::ContentKey::from_bytes(*raw);
  crypto::wipe(*raw);
  if (!key) return std::move(key).error().within("the key for " + row.kind);
  return PackageKey{row.kind, package, std::move(*key)};
}

}  // namespace

const crypto::ContentKey* ReleaseKeys::key(const crypto::Digest& package) const {
  const auto found = std::ranges::find_if(keys, [&](const PackageKey& one) { return one.package == package; });
  return found == keys.end() ? nullptr : &found->key;
}

std::string print_content_keys(const ReleaseKeys& keys) {
  json::Value list = json::Value::array();
  for (const PackageKey& one : keys.keys)
    list.push_back({{"kind", one.kind}, {"package", one.package.text()}, {"key", to_hex(one.key.bytes())}});
  json::Value document = {{"version", 1}, {"model", keys.model}, {"release", keys.version}};
  document["keys"] = std::move(list);
  std::string text = document.dump(2, ' ', false, json::Value::error_handler_t::replace) + "\n";
  for (json::Value& one : document["keys"]) crypto::wipe(one["key"].get_ref<std::string&>());
  return text;
}

Result<ReleaseKeys> parse_content_keys(std::string_view text) {
  TRY_ASSIGN(const json::Value document, json::parse(text, kMaxContentKeys));
  json::Reader in(document);
  const auto version = in.integer("version", 1, INT32_MAX);
  if (in.has("version") && version != 1)
    return Error(Code::unsupported, "content keys of version " + std::to_string(version) + " where 1 is understood");
  ReleaseKeys keys;
  keys.model = in.text("model", kMaxText);
  keys.version = in.text("release", kMaxText);
  std::vector<Row> rows;
  in.array("keys", kMaxVariants, [&](json::Reader& item) {
    rows.push_back({item.text("kind", kMaxText), item.text("package", kMaxText), item.text("key", kMaxText)});
  });
  TRY(in.finish());
  for (Row& row : rows) {
    TRY_ASSIGN(PackageKey key, read_key(row));
    keys.keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace drover::package
