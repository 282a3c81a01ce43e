#include "common/tuf/canonical.h"

namespace drover::tuf {
namespace {

using Json = nlohmann::json;

void write_text(std::string& out, const std::string& text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

Status write(std::string& out, const Json& value);

Status write_object(std::string& out, const Json& object) {
  // nlohmann's map compares bytes as unsigned, which is the order of code points in UTF-8.
  char before = '{';
  for (const auto& [name, item] : object.get_ref<const Json::object_t&>()) {
    out += before;
    before = ',';
    write_text(out, name);
    out += ':';
    TRY(write(out, item));
  }
  if (before == '{') out += '{';
  out += '}';
  return {};
}

Status write_array(std::string& out, const Json& array) {
  out += '[';
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (i != 0) out += ',';
    TRY(write(out, array[i]));
  }
  out += ']';
  return {};
}

Status write(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      out += "null";
      return {};
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return {};
    case Json::value_t::number_integer:
      out += std::to_string(value.get<std::int64_t>());
      return {};
    case Json::value_t::number_unsigned:
      out += std::to_string(value.get<std::uint64_t>());
      return {};
    case Json::value_t::string:
      write_text(out, value.get_ref<const std::string&>());
      return {};
    case Json::value_t::object:
      return write_object(out, value);
    case Json::value_t::array:
      return write_array(out, value);
    default:
      return Error(Code::unsupported, "canonical JSON has whole numbers only");
  }
}

}  // namespace

Result<std::string> canonical_json(const nlohmann::json& value) {
  std::string out;
  TRY(write(out, value));
  return out;
}

}  // namespace drover::tuf
