// Internal to this folder: pieces that the parsers share.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "common/tuf/metadata.h"
#include "proto/json/reader.h"

namespace drover::tuf {

using Hashes = std::map<std::string, std::string, std::less<>>;

// A reader that passes over unknown fields, as TUF wants it.
inline json::Reader open_reader(const json::Value& object, std::string path) {
  json::Reader in(object, std::move(path));
  in.allow_unknown();
  return in;
}

// _type, spec_version, version and expires, for whatever type.
Status read_common(const Envelope& envelope, std::string_view type, Common& common);
// Calls `read` for each member of the object `name` with a reader on it. Bounded by `max`.
Status each_member(const json::Value& object, std::string_view name, std::size_t max,
                   const std::function<Status(const std::string&, const json::Value&)>& read);
RoleKeys read_role_keys(json::Reader& in);
Status read_keys(const json::Value& object, Keys& keys);
// {"sha256": hex, ...}; when the field is there it must not be empty.
Hashes read_hashes(json::Reader& in);
bool is_top_level(std::string_view role);

}  // namespace drover::tuf
