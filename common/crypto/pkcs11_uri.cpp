#include "common/crypto/pkcs11_uri.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace drover::crypto {
namespace {

constexpr std::string_view kScheme = "pkcs11:";
constexpr std::string_view kFile = "file:";

Error wrong(std::string_view what) { return {Code::invalid_argument, "the pkcs11: URI: " + std::string(what)}; }

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto byte = from_hex(text.substr(i + 1, std::min<std::size_t>(2, text.size() - i - 1)));
    if (!byte || byte->size() != 1) return wrong("% is followed by two hexadecimal digits");
    out += static_cast<char>(byte->front());
    i += 2;
  }
  return out;
}

// RFC 7512's unreserved and the few reserved characters that may stand in both parts.
std::string percent_encode(std::string_view text) {
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/@$,";
  std::string out;
  for (const char c : text) {
    if (plain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%' + to_hex(as_bytes(std::string_view(&c, 1)));
    }
  }
  return out;
}

Status set_slot(Pkcs11Uri& uri, std::string_view text) {
  unsigned long slot = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slot);
  if (error != std::errc() || end != text.data() + text.size()) return wrong("slot-id is a number");
  uri.slot = slot;
  return {};
}

Status set_path_attribute(Pkcs11Uri& uri, std::string_view name, std::string value) {
  if (name == "slot-id") return set_slot(uri, value);
  if (name == "id") {
    const ByteView bytes = as_bytes(value);
    uri.id = Bytes(bytes.begin(), bytes.end());
  } else if (name == "type") {
    if (value != "private" && value != "public") return wrong("type is private or public");
    uri.public_only = value == "public";
  } else if (name == "token") {
    uri.token = std::move(value);
  } else if (name == "manufacturer") {
    uri.manufacturer = std::move(value);
  } else if (name == "model") {
    uri.model = std::move(value);
  } else if (name == "serial") {
    uri.serial = std::move(value);
  } else if (name == "object") {
    uri.object = std::move(value);
  } else {
    return wrong("\"" + std::string(name) +
                 "\" is not known here; known are token, manufacturer, model, serial, slot-id, object, id, type");
  }
  return {};
}

Status set_query_attribute(Pkcs11Uri& uri, std::string_view name, std::string value) {
  if (name == "module-path") {
    uri.module_path = std::move(value);
  } else if (name == "pin-source") {
    if (value.starts_with(kFile)) value.erase(0, kFile.size());
    if (value.starts_with("//")) value.erase(0, 2);
    if (value.empty() || value.front() == '|') return wrong("pin-source is a file (a path, or file:/path)");
    uri.pin_source = std::move(value);
  } else if (name == "pin-value") {
    uri.pin_value = std::move(value);
  } else {
    return wrong("\"" + std::string(name) + "\" is not known here; known are module-path, pin-source, pin-value");
  }
  return {};
}

// Calls set(name, value) for each "name=value" between the separators.
template <class Set>
Status each_attribute(std::string_view text, char separator, Set set) {
  std::set<std::string, std::less<>> seen;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const std::size_t equals = one.find('=');
    if (equals == std::string_view::npos || equals == 0) return wrong("attributes are written name=value");
    const std::string_view name = one.substr(0, equals);
    if (!seen.emplace(name).second) return wrong("\"" + std::string(name) + "\" stands twice");
    TRY_ASSIGN(std::string value, percent_decode(one.substr(equals + 1)));
    TRY(set(name, std::move(value)));
  }
  return {};
}

void append(std::string& text, char separator, std::string_view name, const std::string& encoded) {
  if (!text.empty()) text += separator;
  text.append(name).append("=").append(encoded);
}

}  // namespace

bool is_pkcs11_uri(std::string_view text) { return text.starts_with(kScheme); }

Result<Pkcs11Uri> parse_pkcs11_uri(std::string_view text) {
  if (!is_pkcs11_uri(text)) return wrong("it begins with \"pkcs11:\"");
  if (text.size() > kMaxPkcs11Uri) return wrong("it is too long");
  if (text.find('\0') != std::string_view::npos) return wrong("it holds a NUL");
  text.remove_prefix(kScheme.size());
  const std::size_t query = text.find('?');
  Pkcs11Uri uri;
  TRY(each_attribute(text.substr(0, query), ';', [&](std::string_view name, std::string value) {
    return set_path_attribute(uri, name, std::move(value));
  }));
  if (query == std::string_view::npos) return uri;
  TRY(each_attribute(text.substr(query + 1), '&', [&](std::string_view name, std::string value) {
    return set_query_attribute(uri, name, std::move(value));
  }));
  return uri;
}

std::string to_text(const Pkcs11Uri& uri) {
  std::string path, query;
  const auto put = [&](std::string_view name, const std::optional<std::string>& value) {
    if (value) append(path, ';', name, percent_encode(*value));
  };
  put("token", uri.token);
  put("manufacturer", uri.manufacturer);
  put("model", uri.model);
  put("serial", uri.serial);
  if (uri.slot) append(path, ';', "slot-id", std::to_string(*uri.slot));
  put("object", uri.object);
  if (uri.id) {
    std::string id;
    for (const std::uint8_t byte : *uri.id) id += '%' + to_hex(ByteView(&byte, 1));
    append(path, ';', "id", id);
  }
  if (uri.public_only) append(path, ';', "type", "public");
  if (!uri.module_path.empty()) append(query, '&', "module-path", percent_encode(uri.module_path));
  if (!uri.pin_source.empty()) append(query, '&', "pin-source", percent_encode(uri.pin_source));
  return std::string(kScheme) + path + (query.empty() ? "" : "?" + query);
}

}  // namespace drover::crypto
