#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/deployment_json.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxBody = 64 * 1024;
constexpr std::size_t kEventsShown = 50;

Result<fleet::DeviceState> state_from_text(std::string_view text) {
  for (const auto state : {fleet::DeviceState::pending, fleet::DeviceState::active, fleet::DeviceState::decommissioned})
    if (fleet::to_text(state) == text) return state;
  return Error(Code::invalid_argument, "state is pending, active or decommissioned");
}

nlohmann::json time_or_null(WallTime time) {
  if (time == WallTime{}) return nullptr;
  return format_time(time);
}

// A device's newest deployment beside what it runs.
struct DeviceSheet {
  store::Device device;
  std::vector<wire::Installed> installed;
  std::vector<store::Deployment> deployments;
  std::vector<store::StoredEvent> events;
};

Result<DeviceSheet> load_sheet(const store::Reader& reader, store::Device device, std::size_t events) {
  DeviceSheet sheet;
  TRY_ASSIGN(sheet.installed, reader.devices.installed(device.no));
  TRY_ASSIGN(sheet.deployments, reader.deployments.of_device(device.no, 1));
  if (events > 0) {
    TRY_ASSIGN(sheet.events, reader.devices.events(device.no, events));
  }
  sheet.device = std::move(device);
  return sheet;
}

nlohmann::json encode_event(const store::StoredEvent& stored) {
  const wire::Event& event = stored.event;
  return {{"seq", event.seq},
          {"at", format_time(event.at)},
          {"received_at", format_time(stored.received_at)},
          {"deployment", event.deployment},
          {"model", event.model},
          {"release", event.release},
          {"step", wire::to_text(event.step)},
          {"outcome", wire::to_text(event.outcome)},
          {"code", code_name(event.code)},
          {"detail", event.detail},
          {"evidence", event.evidence}};
}

nlohmann::json encode(const DeviceSheet& sheet) {
  const fleet::DeviceView& view = sheet.device.view;
  nlohmann::json attributes = nlohmann::json::object(), installed = nlohmann::json::array();
  for (const auto& [key, value] : view.attributes) attributes[key] = value;
  for (const wire::Installed& one : sheet.installed)
    installed.push_back(
        {{"model", one.model}, {"release", one.release}, {"package", one.package}, {"since", format_time(one.since)}});
  nlohmann::json out = {{"id", view.id},
                        {"name", view.name},
                        {"kind", view.kind},
                        {"state", fleet::to_text(view.state)},
                        {"attributes", std::move(attributes)},
                        {"tags", view.tags},
                        {"enrolled_at", time_or_null(sheet.device.enrolled_at)},
                        {"last_seen", time_or_null(sheet.device.last_seen)},
                        {"installed", std::move(installed)},
                        {"deployment", nullptr}};
  if (sheet.device.report_conflicts > 0)
    out["report_conflicts"] = {{"count", sheet.device.report_conflicts},
                               {"last_at", format_time(sheet.device.conflict_at)}};
  if (!sheet.deployments.empty()) out["deployment"] = encode_deployment(sheet.deployments.front());
  return out;
}

Result<DeviceSheet> find_sheet(const store::Reader& reader, std::string_view id, std::size_t events) {
  TRY_ASSIGN(auto device, reader.devices.find_id(id));
  if (!device) return Error(Code::not_found, "there is no device " + std::string(id.substr(0, 64)));
  return load_sheet(reader, std::move(*device), events);
}

struct Listing {
  std::shared_ptr<const fleet::Group> group;
  std::optional<fleet::DeviceState> state;
  Page page;
};

Result<Listing> listing_of(const net::Request& request) {
  Listing out;
  TRY_ASSIGN(out.page, page_of(request));
  if (const auto query = request.query_param("query"); query && !query->empty()) {
    TRY_ASSIGN(fleet::Group group, fleet::Group::from_query("listing", *query));
    out.group = std::make_shared<const fleet::Group>(std::move(group));
  }
  if (const auto state = request.query_param("state"); state && !state->empty()) {
    TRY_ASSIGN(out.state, state_from_text(*state));
  }
  return out;
}

Result<std::vector<DeviceSheet>> load_page(const store::Reader& reader, const Listing& listing) {
  store::DeviceFilter filter;
  filter.group = listing.group.get();
  filter.state = listing.state;
  TRY_ASSIGN(std::vector<store::Device> devices, reader.devices.list(filter, listing.page.after, listing.page.limit));
  std::vector<DeviceSheet> sheets;
  for (store::Device& device : devices) {
    TRY_ASSIGN(DeviceSheet sheet, load_sheet(reader, std::move(device), 0));
    sheets.push_back(std::move(sheet));
  }
  return sheets;
}

struct Preauthorised {
  crypto::PublicKey key{};
  std::string name;
  std::string kind;
};

Result<Preauthorised> decode_preauthorised(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxBody));
  json::Reader in(document);
  const std::string key = in.text("public_key", 64);
  Preauthorised out;
  out.name = in.text_or("name", "", wire::kMaxName);
  out.kind = in.text_or("kind", "", wire::kMaxName);
  TRY(in.finish());
  TRY_ASSIGN(out.key, crypto::parse_public_key(key).within("/public_key"));
  return out;
}

struct DevicePatch {
  std::optional<std::string> name;
  std::vector<std::string> add;
  std::vector<std::string> remove;
};

constexpr std::size_t kMaxTag = 64;

Status check_tags(const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) {
    if (tag.empty()) return Error(Code::malformed, "/tags: a tag must not be empty");
    for (const char c : tag)
      if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
          std::string_view("._:/-").find(c) == std::string_view::npos)
        return Error(Code::malformed, "/tags: a tag holds letters, digits and . _ : / - only: " + tag);
  }
  return {};
}

Result<DevicePatch> decode_patch(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxBody));
  json::Reader in(document);
  DevicePatch out;
  if (in.has("name"))
    out.name = in.text("name", wire::kMaxName);
  else
    (void)in.text_or("name", "", wire::kMaxName);
  in.object_or_none("tags", [&](json::Reader& tags) {
    out.add = tags.texts_or_none("add", store::kMaxTags, kMaxTag);
    out.remove = tags.texts_or_none("remove", store::kMaxTags, kMaxTag);
  });
  TRY(in.finish());
  TRY(check_tags(out.add));
  return out;
}

Result<store::Device> must_find(store::Writer& writer, const std::string& id) {
  TRY_ASSIGN(auto device, writer.devices.find_id(id));
  if (!device) return Error(Code::not_found, "there is no device " + id.substr(0, 64));
  return std::move(*device);
}

Result<Effect> effect_with_device(store::Writer& writer, const std::string& id, int status, std::string action,
                                  std::string detail) {
  TRY_ASSIGN(const DeviceSheet sheet, find_sheet(writer.reader(), id, 0));
  Effect effect = json_effect(status, encode(sheet));
  effect.action = std::move(action);
  effect.subject = id;
  effect.detail = std::move(detail);
  return effect;
}

std::string describe(const DevicePatch& patch) {
  std::string text;
  if (patch.name) text += "name=" + *patch.name + " ";
  for (const std::string& tag : patch.add) text += "+" + tag + " ";
  for (const std::string& tag : patch.remove) text += "-" + tag + " ";
  if (!text.empty()) text.pop_back();
  return text;
}

Result<Effect> preauthorise(store::Writer& writer, const Preauthorised& wanted, WallTime now) {
  store::Device device;
  device.key = wanted.key;
  device.view.id = crypto::device_id(wanted.key);
  device.view.name = wanted.name;
  device.view.kind = wanted.kind;
  device.view.state = fleet::DeviceState::active;
  device.enrolled_at = now;
  Result<store::DeviceNo> no = writer.devices.insert(device);
  if (!no && no.error().code() == Code::already_exists)
    return Error(Code::already_exists, "device " + device.view.id + " is known already");
  if (!no) return std::move(no).error();
  return effect_with_device(writer, device.view.id, 201, "device.preauthorise", wanted.name);
}

Result<Effect> accept(store::Writer& writer, const std::string& id, WallTime now) {
  TRY_ASSIGN(const store::Device device, must_find(writer, id));
  if (device.view.state == fleet::DeviceState::decommissioned)
    return Error(Code::conflict, "the device was decommissioned");
  if (device.view.state == fleet::DeviceState::active) return effect_with_device(writer, id, 200, "", "");
  TRY(writer.devices.set_state(device, fleet::DeviceState::active, now));
  return effect_with_device(writer, id, 200, "device.accept", device.view.name);
}

Result<Effect> patch(store::Writer& writer, const std::string& id, const DevicePatch& wanted) {
  TRY_ASSIGN(const store::Device device, must_find(writer, id));
  if (wanted.name) TRY(writer.devices.set_name(device.no, *wanted.name));
  TRY(writer.devices.change_tags(device.no, wanted.add, wanted.remove));
  // Its groups may have changed: a new revision lets it be evaluated at its next check-in.
  writer.control_changed();
  return effect_with_device(writer, id, 200, "device.change", describe(wanted));
}

Result<Effect> decommission(store::Writer& writer, const std::string& id, WallTime now) {
  TRY_ASSIGN(const store::Device device, must_find(writer, id));
  Effect effect;
  effect.status = 204;
  if (device.view.state == fleet::DeviceState::decommissioned) return effect;
  TRY(writer.devices.set_state(device, fleet::DeviceState::decommissioned, now));
  // Its session token must not pass for current any more.
  writer.control_changed();
  effect.action = "device.decommission";
  effect.subject = id;
  effect.detail = device.view.name;
  return effect;
}

}  // namespace

Answer list_devices(Api& api, Call& call) {
  CO_TRY_ASSIGN(const Listing listing, listing_of(call.request));
  store::ReadFn<std::vector<DeviceSheet>> read = [listing](const store::Reader& reader) {
    return load_page(reader, listing);
  };
  Result<std::vector<DeviceSheet>> sheets = co_await api.store.read(std::move(read));
  if (!sheets) co_return std::move(sheets).error();
  nlohmann::json items = nlohmann::json::array();
  for (const DeviceSheet& sheet : *sheets) items.push_back(encode(sheet));
  const bool more = sheets->size() == listing.page.limit;
  co_return list_response(std::move(items), more ? sheets->back().device.no : 0);
}

Answer get_device(Api& api, Call& call) {
  const std::string id = call.param(0);
  store::ReadFn<DeviceSheet> read = [id](const store::Reader& reader) { return find_sheet(reader, id, kEventsShown); };
  Result<DeviceSheet> sheet = co_await api.store.read(std::move(read));
  if (!sheet) co_return std::move(sheet).error();
  nlohmann::json body = encode(*sheet);
  body["events"] = nlohmann::json::array();
  for (const store::StoredEvent& event : sheet->events) body["events"].push_back(encode_event(event));
  co_return json_response(200, body);
}

Answer post_device(Api& api, Call& call) {
  CO_TRY_ASSIGN(const Preauthorised wanted, decode_preauthorised(call.request.body));
  ChangeFn fn = [wanted, now = api.clock.wall()](store::Writer& writer) { return preauthorise(writer, wanted, now); };
  co_return co_await change(api, call, std::move(fn));
}

Answer accept_device(Api& api, Call& call) {
  ChangeFn fn = [id = call.param(0), now = api.clock.wall()](store::Writer& writer) { return accept(writer, id, now); };
  co_return co_await change(api, call, std::move(fn));
}

Answer patch_device(Api& api, Call& call) {
  CO_TRY_ASSIGN(const DevicePatch wanted, decode_patch(call.request.body));
  ChangeFn fn = [id = call.param(0), wanted](store::Writer& writer) { return patch(writer, id, wanted); };
  co_return co_await change(api, call, std::move(fn));
}

Answer delete_device(Api& api, Call& call) {
  ChangeFn fn = [id = call.param(0), now = api.clock.wall()](store::Writer& writer) {
    return decommission(writer, id, now);
  };
  co_return co_await change(api, call, std::move(fn));
}

}  // namespace drover::api
