#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/deployment_json.h"
#include "server/api/journey/engine.h"
#include "server/api/journey/stage.h"
#include "server/api/resources.h"
#include "server/rollout/state_text.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxBody = 4096;
constexpr std::int64_t kMaxWait = 60;  // seconds of a long poll
constexpr std::uint64_t kProgressSteps = 20;
constexpr std::chrono::milliseconds kLookEvery{300};  // while it waits

wire::RolloutStatus status_of(const store::RolloutRow& row) {
  wire::RolloutStatus status;
  status.id = row.id;
  status.spec = row.spec;
  status.created_by = row.created_by;
  status.created_at = row.created_at;
  rollout::describe(row.spec, row.state, status);
  return status;
}

nlohmann::json encode(const store::RolloutRow& row) {
  nlohmann::json out = wire::encode(status_of(row));
  const gate::Verdict verdict = rollout::verdict(row.spec, row.state);
  out["gate"] = verdict.why;
  out["savings"] = wire::encode(row.savings);
  out["rollback"] = {{"returned", row.state.returned},
                     {"failed", row.state.return_failed},
                     {"nothing_before", row.state.nothing_before},
                     {"outstanding", rollout::outstanding_returns(row.state)}};
  return out;
}

Result<store::RolloutRow> must_find(const store::Rollouts& rollouts, std::string_view id) {
  TRY_ASSIGN(auto row, rollouts.find(id));
  if (!row) return Error(Code::not_found, "there is no rollout " + std::string(id.substr(0, 64)));
  return std::move(*row);
}

Effect effect_of(const store::RolloutRow& row, int status, std::string action, std::string detail) {
  Effect effect = json_effect(status, encode(row));
  effect.etag = version_etag(row.state.version);
  effect.action = std::move(action);
  effect.subject = row.id;
  effect.detail = std::move(detail);
  return effect;
}

// --- creation --------------------------------------------------------------------------------------------------------

Status check_spec(const store::Reader& reader, const store::Control& control, const wire::RolloutSpec& spec) {
  const store::GroupEntry* group = control.group(spec.group);
  if (group == nullptr) return Error(Code::not_found, "there is no group " + spec.group);
  const store::ReleaseEntry* release = control.release(spec.model, spec.release);
  if (release == nullptr) return Error(Code::not_found, "there is no release " + spec.model + "/" + spec.release);
  if (release->view.withdrawn)
    return Error(Code::conflict, "release " + spec.model + "/" + spec.release + " was withdrawn");
  TRY_ASSIGN(const bool anybody, anybody_served(reader, group->group, release->view));
  if (anybody) return {};
  return Error(Code::invalid_argument, "group " + spec.group +
                                           " is empty for this release: it has no active device of the kinds that " +
                                           spec.model + "/" + spec.release + " has a variant for");
}

Result<Effect> create(store::Writer& writer, store::RolloutRow row, WallTime now) {
  TRY(begin_rollout(writer, row, now));
  return effect_of(row, 201, "rollout.create", row.spec.model + "/" + row.spec.release + " to group " + row.spec.group);
}

// --- commands --------------------------------------------------------------------------------------------------------

Result<rollout::Verb> verb_of(std::string_view path) {
  const std::string_view last = path.substr(path.rfind('/') + 1);
  for (const auto verb : {rollout::Verb::promote, rollout::Verb::pause, rollout::Verb::resume, rollout::Verb::halt,
                          rollout::Verb::abort, rollout::Verb::rollback})
    if (rollout::to_text(verb) == last) return verb;
  return Error(Code::not_found, "there is no such command");
}

Result<rollout::Command> decode_command(const Call& call) {
  rollout::Command command;
  TRY_ASSIGN(command.verb, verb_of(call.request.path));
  command.actor = call.who.name;
  const std::string& body = call.request.body;
  TRY_ASSIGN(const json::Value document, json::parse(body.empty() ? "{}" : body, kMaxBody));
  json::Reader in(document);
  if (command.verb == rollout::Verb::promote)
    command.from_stage = static_cast<std::int32_t>(in.integer("from_stage", 0, wire::kMaxStages));
  TRY(in.finish());
  return command;
}

// The rollout's version, and behind it how far its deltas are as long as they are made, so that who waits with this
// ETag hears of that too (who waits with the version alone does not). In kProgressSteps steps: that many answers more,
// however long it takes. version_in() gives what a command is compared with.
std::string etag_of(const Api& api, const store::RolloutRow& row) {
  std::string etag = version_etag(row.state.version);
  const auto progress = api.deltas == nullptr ? std::nullopt : api.deltas->progress(row.spec.model, row.spec.release);
  if (!progress || progress->state == "ready") return etag;
  const std::uint64_t step =
      progress->bytes_total == 0 ? 0 : kProgressSteps * progress->bytes_done / progress->bytes_total;
  const std::int64_t left = progress->left() + progress->packed.left();
  etag.insert(etag.size() - 1, ";" + progress->state + "-" + std::to_string(left) + "-" + std::to_string(step));
  return etag;
}

std::string version_in(const std::string& etag) {
  const std::size_t end = etag.find(';');
  return end == std::string::npos ? etag : etag.substr(0, end) + "\"";
}

Result<Effect> carry_out(store::Writer& writer, const std::string& id, const rollout::Command& command,
                         const std::string& if_match, WallTime now) {
  TRY_ASSIGN(store::RolloutRow row, must_find(writer.rollouts, id));
  if (!if_match.empty() && if_match != "*" && version_in(if_match) != version_etag(row.state.version))
    return Error(Code::precondition_failed, "the rollout has changed since you looked; look again");
  TRY(feed(writer, row, {now, command}));
  std::string action = "rollout.";
  action += rollout::to_text(command.verb);
  std::string detail = row.spec.name;
  if (command.verb == rollout::Verb::promote) detail += " from stage " + std::to_string(command.from_stage);
  return effect_of(row, 200, std::move(action), std::move(detail));
}

// --- long poll -------------------------------------------------------------------------------------------------------

boost::asio::awaitable<Result<store::RolloutRow>> load(Api& api, std::string id) {
  store::ReadFn<store::RolloutRow> read = [id](const store::Reader& reader) { return must_find(reader.rollouts, id); };
  co_return co_await api.store.read(std::move(read));
}

boost::asio::awaitable<void> pause_a_little() {
  auto executor = co_await boost::asio::this_coro::executor;
  boost::asio::steady_timer timer(executor);
  timer.expires_after(kLookEvery);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace

Answer list_rollouts(Api& api, Call& call) {
  CO_TRY_ASSIGN(const Page page, page_of(call.request));
  store::ReadFn<std::vector<store::RolloutRow>> read = [page](const store::Reader& reader) {
    return reader.rollouts.list(page.after, page.limit);
  };
  Result<std::vector<store::RolloutRow>> rows = co_await api.store.read(std::move(read));
  if (!rows) co_return std::move(rows).error();
  nlohmann::json items = nlohmann::json::array();
  for (const store::RolloutRow& row : *rows) items.push_back(encode(row));
  const bool more = rows->size() == page.limit;
  co_return list_response(std::move(items), more ? rows->back().no : 0);
}

Answer get_rollout(Api& api, Call& call) {
  std::int64_t wait = 0;
  if (const auto text = call.request.query_param("wait")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), wait);
    if (error != std::errc() || end != text->data() + text->size() || wait < 0 || wait > kMaxWait)
      co_return Error(Code::invalid_argument, "wait must be 0 to 60 seconds");
  }
  const std::string known(call.request.header("If-None-Match"));
  const MonoTime until = api.clock.mono() + std::chrono::seconds(wait);
  for (;;) {
    Result<store::RolloutRow> row = co_await load(api, call.param(0));
    if (!row) co_return std::move(row).error();
    const std::string etag = etag_of(api, *row);
    if (known != etag && known != version_etag(row->state.version)) {
      nlohmann::json body = encode(*row);
      add_delta_progress(api, row->spec.model, row->spec.release, body);
      net::Response response = json_response(200, body);
      response.headers.add("ETag", etag);
      co_return response;
    }
    if (api.clock.mono() >= until) {
      net::Response unchanged(304);
      unchanged.headers.add("ETag", etag);
      co_return unchanged;
    }
    co_await pause_a_little();
  }
}

Answer post_rollout(Api& api, Call& call) {
  CO_TRY_ASSIGN(wire::RolloutSpec spec, wire::decode_rollout_spec(call.request.body));
  store::ReadFn<bool> check = [&api, spec](const store::Reader& reader) -> Result<bool> {
    TRY(check_spec(reader, *api.store.control(), spec));
    return true;
  };
  const Result<bool> checked = co_await api.store.read(std::move(check));
  if (!checked) co_return checked.error();
  // Before devices hear of it.
  if (api.deltas != nullptr) api.deltas->want(spec.model, spec.release);
  store::RolloutRow row;
  row.spec = std::move(spec);
  row.salt = random_id("", api.rng);
  row.created_by = call.who.name;
  row.created_at = api.clock.wall();
  ChangeFn fn = [row, now = row.created_at](store::Writer& writer) { return create(writer, row, now); };
  co_return co_await change(api, call, std::move(fn));
}

Answer command_rollout(Api& api, Call& call) {
  CO_TRY_ASSIGN(const rollout::Command command, decode_command(call));
  ChangeFn fn = [id = call.param(0), command, if_match = std::string(call.request.header("If-Match")),
                 now = api.clock.wall()](store::Writer& writer) {
    return carry_out(writer, id, command, if_match, now);
  };
  co_return co_await change(api, call, std::move(fn));
}

Answer list_deployments(Api& api, Call& call) {
  CO_TRY_ASSIGN(const Page page, page_of(call.request));
  const std::string id = call.param(0);
  using Rows = std::vector<store::DeploymentOfDevice>;
  store::ReadFn<Rows> read = [id, page](const store::Reader& reader) -> Result<Rows> {
    TRY_ASSIGN(const store::RolloutRow row, must_find(reader.rollouts, id));
    return reader.deployments.of_rollout(row.no, page.after, page.limit);
  };
  Result<Rows> rows = co_await api.store.read(std::move(read));
  if (!rows) co_return std::move(rows).error();
  nlohmann::json items = nlohmann::json::array();
  for (const store::DeploymentOfDevice& one : *rows) {
    nlohmann::json item = encode_deployment(one.deployment);
    item["device"] = one.device_id;
    item["device_name"] = one.device_name;
    items.push_back(std::move(item));
  }
  const bool more = rows->size() == page.limit;
  co_return list_response(std::move(items), more ? rows->back().deployment.no : 0);
}

}  // namespace drover::api
