#include <nlohmann/json.hpp>

#include "server/api/resources.h"

namespace drover::api {
namespace {

nlohmann::json encode(const store::ReleaseRow& row) {
  nlohmann::json variants = nlohmann::json::array();
  for (const store::VariantRow& variant : row.variants)
    variants.push_back({{"kind", variant.kind},
                        {"architecture", variant.architecture},
                        {"precision", variant.precision},
                        {"manifest", variant.manifest},
                        {"bytes", variant.bytes},
                        {"encrypted", variant.encrypted}});
  return {{"model", row.model},
          {"version", row.version},
          {"state", row.state == store::ReleaseState::published ? "published" : "withdrawn"},
          {"index", row.index_digest},
          {"release_counter", row.release_counter},
          {"published_at", format_time(row.published_at)},
          {"variants", std::move(variants)}};
}

// In the order of publication, newest first: what people look for stands on top.
std::vector<const store::ReleaseRow*> newest_first(
    const std::map<std::string, store::ReleaseEntry, std::less<>>& releases) {
  std::vector<const store::ReleaseRow*> rows;
  for (const auto& [version, entry] : releases) rows.push_back(&entry.row);
  std::sort(rows.begin(), rows.end(), [](const auto* a, const auto* b) { return a->no > b->no; });
  return rows;
}

}  // namespace

Answer list_models(Api& api, Call&) {
  const auto control = api.store.control();
  nlohmann::json items = nlohmann::json::array();
  for (const auto& [model, releases] : control->models) {
    const auto rows = newest_first(releases);
    nlohmann::json latest;
    for (const store::ReleaseRow* row : rows)
      if (row->state == store::ReleaseState::published) {
        latest = row->version;
        break;
      }
    items.push_back({{"model", model}, {"releases", rows.size()}, {"latest", latest}});
  }
  co_return list_response(std::move(items), 0);
}

Answer list_releases(Api& api, Call& call) {
  const auto control = api.store.control();
  const auto found = control->models.find(call.param(0));
  if (found == control->models.end()) co_return Error(Code::not_found, "there is no model " + call.param(0).substr(0, 64));
  nlohmann::json items = nlohmann::json::array();
  for (const store::ReleaseRow* row : newest_first(found->second)) items.push_back(encode(*row));
  co_return list_response(std::move(items), 0);
}

Answer get_release(Api& api, Call& call) {
  const auto control = api.store.control();
  const store::ReleaseEntry* entry = control->release(call.param(0), call.param(1));
  if (entry == nullptr)
    co_return Error(Code::not_found, "there is no release " + call.param(0).substr(0, 64) + "/" + call.param(1).substr(0, 64));
  nlohmann::json body = encode(entry->row);
  add_delta_progress(api, entry->row.model, entry->row.version, body);
  co_return json_response(200, body);
}

}  // namespace drover::api
