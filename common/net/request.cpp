#include "common/net/http_server.h"

namespace drover::net {

std::string_view Request::header(std::string_view name) const {
  for (const Span& field : fields_) {
    if (field.name_size != name.size()) continue;
    const std::string_view all = storage_;
    if (same_header(all.substr(field.name, field.name_size), name)) return all.substr(field.value, field.value_size);
  }
  return {};
}

Result<std::vector<std::string>> Request::path_segments() const {
  std::vector<std::string> out;
  std::string_view rest = path;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // '/'
    const std::string_view part = rest.substr(0, rest.find('/'));
    TRY_ASSIGN(std::string segment, percent_decode(part));
    out.push_back(std::move(segment));
    rest.remove_prefix(part.size());
  }
  return out;
}

std::optional<std::string> Request::query_param(std::string_view name) const {
  auto all = parse_query(query);
  if (!all) return std::nullopt;
  for (auto& [key, value] : *all)
    if (key == name) return std::move(value);
  return std::nullopt;
}

}  // namespace drover::net
