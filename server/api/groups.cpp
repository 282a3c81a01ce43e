#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxBody = 1 << 20;         // a fixed list of 10,000 devices
constexpr std::int64_t kPreviewCounts = 100'000;  // a preview counts so far, and then says "at least"
constexpr std::size_t kPreviewShows = 10;

nlohmann::json encode(const store::GroupEntry& entry) {
  nlohmann::json out = {{"name", entry.group.name()},
                        {"version", entry.version},
                        {"created_by", entry.created_by},
                        {"created_at", format_time(entry.created_at)}};
  if (const fleet::Query* query = entry.group.query()) out["query"] = query->text();
  else out["devices"] = *entry.group.devices();
  return out;
}

struct Wanted {
  store::GroupRow row;
  fleet::Group group;
};

Result<Wanted> decode(std::string_view body, std::string_view name_in_path) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxBody));
  json::Reader in(document);
  store::GroupRow row;
  row.name = name_in_path.empty() ? in.text("name", fleet::kMaxGroupName)
                                  : in.text_or("name", name_in_path, fleet::kMaxGroupName);
  if (in.has("query") == in.has("devices")) in.fail("query", "give either query or devices");
  if (in.has("query")) row.query = in.text("query", fleet::kMaxQueryLength);
  else (void)in.text_or("query", "", fleet::kMaxQueryLength);
  row.devices = in.texts_or_none("devices", fleet::kMaxListed, wire::kMaxName);
  TRY(in.finish());
  if (!name_in_path.empty() && row.name != name_in_path)
    return Error(Code::invalid_argument, "/name: a group is not renamed; it is " + std::string(name_in_path));
  if (row.query) {
    TRY_ASSIGN(fleet::Group group, fleet::Group::from_query(row.name, *row.query));
    return Wanted{std::move(row), std::move(group)};
  }
  TRY_ASSIGN(fleet::Group group, fleet::Group::from_list(row.name, row.devices));
  row.devices = *group.devices();
  return Wanted{std::move(row), std::move(group)};
}

std::string describe(const store::GroupRow& row) {
  if (row.query) return *row.query;
  return std::to_string(row.devices.size()) + " devices";
}

Effect effect_of(const Wanted& wanted, int status, std::string action) {
  const store::GroupEntry entry{wanted.group, wanted.row.version, wanted.row.created_by, wanted.row.created_at};
  Effect effect = json_effect(status, encode(entry));
  effect.etag = version_etag(wanted.row.version);
  effect.action = std::move(action);
  effect.subject = wanted.row.name;
  effect.detail = describe(wanted.row);
  return effect;
}

Result<Effect> create(store::Writer& writer, const Wanted& wanted) {
  TRY_ASSIGN(const auto control, writer.control());
  if (control->groups.size() >= store::kMaxGroups) return Error(Code::too_large, "too many groups; remove some");
  if (control->group(wanted.row.name) != nullptr)
    return Error(Code::already_exists, "there is a group " + wanted.row.name + " already");
  TRY(writer.groups.insert(wanted.row));
  writer.control_changed();
  return effect_of(wanted, 201, "group.create");
}

Result<Effect> replace(store::Writer& writer, Wanted wanted, const std::string& if_match) {
  TRY_ASSIGN(const auto control, writer.control());
  const store::GroupEntry* before = control->group(wanted.row.name);
  if (before == nullptr) return Error(Code::not_found, "there is no group " + wanted.row.name);
  if (!if_match.empty() && if_match != "*" && if_match != version_etag(before->version))
    return Error(Code::precondition_failed, "the group has changed since you looked; look again");
  wanted.row.version = before->version + 1;
  wanted.row.created_by = before->created_by;
  wanted.row.created_at = before->created_at;
  TRY(writer.groups.update(wanted.row));
  writer.control_changed();
  return effect_of(wanted, 200, "group.change");
}

Result<Effect> remove(store::Writer& writer, const std::string& name) {
  TRY_ASSIGN(const auto control, writer.control());
  if (control->group(name) == nullptr) return Error(Code::not_found, "there is no group " + name.substr(0, 64));
  TRY_ASSIGN(const bool used, writer.rollouts.group_in_use(name));
  if (used) return Error(Code::conflict, "rollouts go to group " + name + "; abort them first");
  TRY(writer.groups.remove(name));
  writer.control_changed();
  Effect effect;
  effect.status = 204;
  effect.action = "group.remove";
  effect.subject = name;
  return effect;
}

struct Preview {
  std::int64_t count = 0;
  std::vector<store::Device> sample;
};

Result<Preview> preview(const store::Reader& reader, const fleet::Group& group) {
  store::DeviceFilter filter;
  filter.group = &group;
  Preview out;
  TRY_ASSIGN(out.count, reader.devices.count(filter, kPreviewCounts + 1));
  TRY_ASSIGN(out.sample, reader.devices.list(filter, 0, kPreviewShows));
  return out;
}

}  // namespace

Answer list_groups(Api& api, Call&) {
  const auto control = api.store.control();
  nlohmann::json items = nlohmann::json::array();
  for (const auto& [name, entry] : control->groups) {
    nlohmann::json item = encode(*entry);
    // Long lists are shown one at a time.
    if (item.contains("devices")) {
      item["device_count"] = item["devices"].size();
      item.erase("devices");
    }
    items.push_back(std::move(item));
  }
  co_return list_response(std::move(items), 0);
}

Answer get_group(Api& api, Call& call) {
  const auto control = api.store.control();
  const store::GroupEntry* entry = control->group(call.param(0));
  if (entry == nullptr) co_return Error(Code::not_found, "there is no group " + call.param(0).substr(0, 64));
  net::Response response = json_response(200, encode(*entry));
  response.headers.add("ETag", version_etag(entry->version));
  co_return response;
}

Answer post_group(Api& api, Call& call) {
  CO_TRY_ASSIGN(Wanted wanted, decode(call.request.body, ""));
  wanted.row.created_by = call.who.name;
  wanted.row.created_at = api.clock.wall();
  ChangeFn fn = [wanted](store::Writer& writer) { return create(writer, wanted); };
  co_return co_await change(api, call, std::move(fn));
}

Answer put_group(Api& api, Call& call) {
  CO_TRY_ASSIGN(Wanted wanted, decode(call.request.body, call.param(0)));
  ChangeFn fn = [wanted, if_match = std::string(call.request.header("If-Match"))](store::Writer& writer) {
    return replace(writer, wanted, if_match);
  };
  co_return co_await change(api, call, std::move(fn));
}

Answer delete_group(Api& api, Call& call) {
  ChangeFn fn = [name = call.param(0)](store::Writer& writer) { return remove(writer, name); };
  co_return co_await change(api, call, std::move(fn));
}

Answer preview_group(Api& api, Call& call) {
  CO_TRY_ASSIGN(const json::Value document, json::parse(call.request.body, kMaxBody));
  json::Reader in(document);
  const std::string query = in.text("query", fleet::kMaxQueryLength);
  CO_TRY(in.finish());
  CO_TRY_ASSIGN(fleet::Group parsed, fleet::Group::from_query("preview", query));
  const auto group = std::make_shared<const fleet::Group>(std::move(parsed));
  store::ReadFn<Preview> read = [group](const store::Reader& reader) { return preview(reader, *group); };
  Result<Preview> found = co_await api.store.read(std::move(read));
  if (!found) co_return std::move(found).error();
  nlohmann::json sample = nlohmann::json::array();
  for (const store::Device& device : found->sample)
    sample.push_back({{"id", device.view.id}, {"name", device.view.name}});
  const nlohmann::json body = {{"count", std::min(found->count, kPreviewCounts)},
                               {"capped", found->count > kPreviewCounts},
                               {"sample", std::move(sample)}};
  co_return json_response(200, body);
}

}  // namespace drover::api
