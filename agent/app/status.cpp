#include "agent/app/status.h"

#include <nlohmann/json.hpp>

#include "agent/store/layout.h"

namespace drover::agent {
namespace {

nlohmann::json held_json(const update::Held& held) {
  if (held.package.empty()) return nullptr;
  return {{"release", held.release},
          {"package", held.package},
          {"release_counter", held.release_counter},
          {"since", format_time(held.since)}};
}

nlohmann::json deployment_json(const Store& store) {
  const update::State& state = store.state();
  if (state.step == update::Step::idle) return nullptr;
  return {{"id", state.target.deployment},
          {"model", state.target.model},
          {"release", state.target.release},
          {"package", state.target.package},
          {"step", update::to_text(state.step)},
          {"attempts", state.attempts},
          {"starts", state.starts},
          {"bytes_fetched", store.traffic().fetched},
          {"bytes_resumed", store.traffic().resumed},
          {"bytes_saved", store.traffic().saved}};
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text + "  ";
}

}  // namespace

std::string status_json(Store& store, const std::string& device_id) {
  nlohmann::json slots = nlohmann::json::array();
  for (const update::Slot& slot : store.slots())
    slots.push_back({{"model", slot.model},
                     {"current", held_json(slot.current)},
                     {"previous", held_json(slot.previous)},
                     {"counter_floor", slot.floor},
                     {"last_deployment", slot.last_deployment}});
  const nlohmann::json out = {{"device_id", device_id},
                              {"slots", std::move(slots)},
                              {"deployment", deployment_json(store)},
                              {"assignment_version", store.accepted().version},
                              {"unsent_events", store.pending_count().value_or(0)}};
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string status_text(Store& store, const std::string& device_id) {
  std::string text = "device      " + device_id + "\n";
  text += "assignment  version " + std::to_string(store.accepted().version) + "\n";
  const std::int64_t unsent = store.pending_count().value_or(0);
  text += "reports     " + (unsent == 0 ? std::string("all sent") : std::to_string(unsent) + " not sent yet") + "\n\n";
  if (store.slots().empty())
    text += "no models installed\n";
  else
    text += padded("MODEL", 20) + padded("RELEASE", 12) + padded("SINCE", 20) + "PACKAGE\n";
  for (const update::Slot& slot : store.slots()) {
    const update::Held& held = slot.current;
    if (held.package.empty()) continue;
    text += padded(slot.model, 20) + padded(held.release, 12) + padded(format_time(held.since), 20) +
            held.package.substr(0, 19) + "\n";
  }
  const update::State& state = store.state();
  if (state.step == update::Step::idle) return text;
  return text + "\nunder way   " + state.target.model + " " + state.target.release + ": " +
         std::string(update::to_text(state.step)) + ", " + std::to_string(store.traffic().fetched) + " bytes fetched\n";
}

Result<std::string> status_of(const std::string& state_folder, bool json, fs::Files& files) {
  const Layout layout(state_folder);
  if (!fs::exists(files, layout.database())) return Error(Code::not_found, "no agent has its state in " + state_folder);
  TRY_ASSIGN(const std::unique_ptr<Store> store, Store::open_to_read(layout.database()));
  const std::string& id = store->device_id();
  return json ? status_json(*store, id) : status_text(*store, id);
}

}  // namespace drover::agent
