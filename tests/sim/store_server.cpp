// The server's real store and journeys, without sockets: SQLite in a folder of its own, every call one transaction.
// What is glued here is what server/api/checkin.cpp does around them: the idle answer, and when a new assignment is
// signed.
#include "server/store/store.h"

#include <algorithm>
#include <map>

#include "common/obs/log.h"
#include "server/api/journey/engine.h"
#include "server/api/journey/evaluate.h"
#include "server/api/journey/outcome.h"
#include "tests/sim/server.h"
#include "tests/support/temp_folder.h"

namespace drover::sim {
namespace {

constexpr std::size_t kAll = 100'000;  // more than a world ever has

store::ReleaseRow row_of(const Release& release) {
  store::ReleaseRow row;
  row.model = release.model;
  row.version = release.version;
  row.state = release.withdrawn_at ? store::ReleaseState::withdrawn : store::ReleaseState::published;
  row.index_digest = release.index();
  row.release_counter = release.counter;
  for (const std::string& kind : release.kinds)
    row.variants.push_back({kind, "amd64", "fp32", release.package(kind), 1});
  return row;
}

std::vector<update::Target> targets_of(const api::Targets& named) {
  std::vector<update::Target> targets;
  for (const auto& [path, one] : named) {
    update::Target target;
    target.model = path.substr(0, path.find('/'));
    target.release = path.substr(path.find('/') + 1);
    target.deployment = one.deployment;
    target.package = one.variant.text();
    target.index = "sha256:" + one.hashes.at("sha256");
    target.release_counter = one.release_counter;
    target.rollback = one.rollback;
    targets.push_back(std::move(target));
  }
  return targets;
}

class StoreServer final : public Server {
 public:
  StoreServer(const Catalogue& catalogue, Story& story) : story_(story) {
    log::set_level(log::Level::off);
    open();
    write([&](store::Writer& writer) -> Status {
      for (const Release& release : catalogue.releases()) TRY(writer.releases.insert(row_of(release)));
      return {};
    });
  }
  ~StoreServer() override { store_->stop(); }

  Answer checkin(const Checkin& request, WallTime now) override;
  void enrol(const fleet::DeviceView& view, WallTime now) override;
  void decommission(const std::string& device, WallTime now) override;
  void add_group(const std::string& name, const std::string& query) override;
  Status create(const wire::RolloutSpec& spec, const std::string& salt, WallTime now) override;
  Status command(const std::string& rollout, const rollout::Command& command, WallTime now) override;
  void withdraw(const Release& release, WallTime now) override;
  void tick(WallTime now) override;
  void restart() override {
    store_->stop();
    store_.reset();
    open();
  }
  const Facts& facts() override;
  DeviceFact device(const std::string& id) override;
  std::vector<std::string> members(const std::string& group) override;
  std::uint64_t changes() const override { return changes_; }
  std::vector<rollout::Desired> desired(const std::string& device) override;

 private:
  void open() { store_ = std::move(store::open_sqlite({folder_ / "drover.db", 1}, clock_).value()); }

  // An error is the server's own fault, unless the caller expects it.
  Status try_write(const std::function<Status(store::Writer&)>& what) {
    ++changes_;
    store::WriteFn<bool> fn = [&what](store::Writer& writer) -> Result<bool> {
      TRY(what(writer));
      return true;
    };
    const Result<bool> done = store_->write_now(fn);
    return done ? Status() : Status(done.error());
  }
  void write(const std::function<Status(store::Writer&)>& what) {
    if (const Status done = try_write(what); !done) story_.broken("the server works", done.error().message());
  }
  template <class T>
  T read(const store::ReadFn<T>& what) const {
    return store_->read_now(what).value();
  }

  Status answer_in_writer(store::Writer& writer, const Checkin& request, WallTime now, Answer& answer);
  bool answer_by_reading(const Checkin& request, Answer& answer);

  Story& story_;
  test::TempFolder folder_;
  ManualClock clock_{WallTime(seconds(2'000'000'000))};
  std::unique_ptr<store::Store> store_;
  Facts facts_;
  std::map<std::string, Assignment> signed_;  // what the stored documents say
  std::uint64_t changes_ = 1, facts_of_ = 0;
};

// --- people ----------------------------------------------------------------------------------------------------------

void StoreServer::enrol(const fleet::DeviceView& view, WallTime now) {
  write([&](store::Writer& writer) -> Status {
    store::Device device;
    device.view = view;
    std::copy_n(view.id.begin(), std::min(view.id.size(), device.key.size()), device.key.begin());
    device.enrolled_at = now;
    return writer.devices.insert(device) ? Status() : Error(Code::internal, "cannot enrol");
  });
}

void StoreServer::decommission(const std::string& id, WallTime now) {
  write([&](store::Writer& writer) -> Status {
    TRY_ASSIGN(const auto device, writer.devices.find_id(id));
    return writer.devices.set_state(*device, fleet::DeviceState::decommissioned, now);
  });
}

void StoreServer::add_group(const std::string& name, const std::string& query) {
  write([&](store::Writer& writer) -> Status {
    store::GroupRow row;
    row.name = name;
    row.query = query;
    writer.control_changed();
    return writer.groups.insert(row);
  });
}

Status StoreServer::create(const wire::RolloutSpec& spec, const std::string& salt, WallTime now) {
  return try_write([&](store::Writer& writer) -> Status {
    store::RolloutRow row;
    row.spec = spec;
    row.salt = salt;
    row.created_at = now;
    return api::begin_rollout(writer, row, now);
  });
}

Status StoreServer::command(const std::string& id, const rollout::Command& command, WallTime now) {
  return try_write([&](store::Writer& writer) -> Status {
    TRY_ASSIGN(auto row, writer.rollouts.find(id));
    if (!row) return Error(Code::not_found, "there is no rollout " + id);
    return api::feed(writer, *row, {now, command});
  });
}

void StoreServer::withdraw(const Release& release, WallTime now) {
  write([&](store::Writer& writer) -> Status {
    TRY_ASSIGN(std::vector<store::ReleaseRow> rows, writer.releases.all());
    for (store::ReleaseRow& row : rows) {
      if (row.model != release.model || row.version != release.version) continue;
      row.state = store::ReleaseState::withdrawn;
      TRY(writer.releases.update(row));
    }
    writer.control_changed();
    TRY_ASSIGN(const auto control, writer.control());
    for (const store::RolloutEntry& entry : control->rollouts) {
      if (entry.spec.model != release.model || entry.spec.release != release.version) continue;
      TRY_ASSIGN(auto row, writer.rollouts.find_no(entry.no));
      if (row) (void)api::feed(writer, *row, {now, rollout::ReleaseWithdrawn{}}).has_value();
    }
    return {};
  });
}

void StoreServer::tick(WallTime now) {
  const auto control = store_->control();
  if (std::none_of(control->rollouts.begin(), control->rollouts.end(), [](const auto& one) { return one.ticks; }))
    return;
  write([&](store::Writer& writer) { return api::tick_rollouts(writer, now); });
}

// --- check-in --------------------------------------------------------------------------------------------------------

bool StoreServer::answer_by_reading(const Checkin& request, Answer& answer) {
  const auto control = store_->control();
  store::ReadFn<bool> fn = [&](const store::Reader& reader) -> Result<bool> {
    TRY_ASSIGN(const auto device, reader.devices.find_id(request.device));
    if (!device) return Error(Code::not_found, request.device);
    if (device->view.state != fleet::DeviceState::active) {
      answer.code = Code::gone;
      return true;
    }
    TRY_ASSIGN(const api::Evaluation evaluation, api::evaluate(reader, *control, *device));
    if (evaluation.must_record) return false;
    TRY_ASSIGN(const auto stored, reader.devices.assignment(device->no));
    const bool nothing = !stored && evaluation.targets.empty() && request.assignment_version == 0;
    if (!nothing && !(stored && stored->content == evaluation.content && stored->version >= request.assignment_version))
      return false;
    answer.claims = {evaluation.waiting ? 0 : control->revision, nothing ? 0 : stored->version};
    if (!nothing && stored->version > request.assignment_version) answer.assignment = signed_.at(request.device);
    return true;
  };
  return read(fn);
}

Status StoreServer::answer_in_writer(store::Writer& writer, const Checkin& request, WallTime now, Answer& answer) {
  TRY_ASSIGN(auto device, writer.devices.find_id(request.device));
  if (!device) return Error(Code::not_found, request.device);
  if (device->view.state != fleet::DeviceState::active) {
    answer.code = Code::gone;
    return {};
  }
  if (request.report) {
    wire::Report report;
    report.device_id = request.device;
    report.events = request.events;
    report.installed = request.installed;
    TRY_ASSIGN(const api::Applied applied, api::apply_report(writer, *device, report, now));
    answer.acked_seq = applied.acked_seq;
  }
  TRY_ASSIGN(const api::Evaluation evaluation, api::evaluate_and_record(writer, *device, now));
  TRY_ASSIGN(const auto control, writer.control());
  TRY_ASSIGN(auto stored, writer.devices.assignment(device->no));
  const bool nothing = !stored && evaluation.targets.empty() && request.assignment_version == 0;
  const bool serves = stored && stored->content == evaluation.content && stored->version >= request.assignment_version;
  if (!nothing && !serves) {
    const std::int64_t last = std::max(stored ? stored->version : 0, request.assignment_version);
    stored = store::StoredAssignment{last + 1, now + hours(24 * 365), evaluation.content, "a document"};
    TRY(writer.devices.put_assignment(device->no, *stored));
    signed_[request.device] = {last + 1, request.device, targets_of(evaluation.targets)};
  }
  answer.claims = {evaluation.waiting ? 0 : control->revision, stored ? stored->version : 0};
  if (stored && stored->version > request.assignment_version) answer.assignment = signed_.at(request.device);
  return {};
}

Answer StoreServer::checkin(const Checkin& request, WallTime now) {
  Answer answer;
  answer.claims = request.claims;
  if (!request.report && request.claims.revision == store_->revision() &&
      request.claims.assignment_version == request.assignment_version) {
    answer.idle = true;
    return answer;
  }
  if (!request.report && answer_by_reading(request, answer)) return answer;
  write([&](store::Writer& writer) { return answer_in_writer(writer, request, now, answer); });
  return answer;
}

// --- what is stored --------------------------------------------------------------------------------------------------

const Facts& StoreServer::facts() {
  if (facts_of_ == changes_) return facts_;
  facts_of_ = changes_;
  facts_ = read<Facts>([](const store::Reader& reader) -> Result<Facts> {
    Facts facts;
    std::vector<std::pair<std::int64_t, DeploymentFact>> found;
    TRY_ASSIGN(std::vector<store::RolloutRow> rows, reader.rollouts.list(0, kAll));
    std::reverse(rows.begin(), rows.end());
    for (store::RolloutRow& row : rows) {
      TRY_ASSIGN(const auto deployments, reader.deployments.of_rollout(row.no, 0, kAll));
      for (const auto& [one, device_id, device_name] : deployments)
        found.push_back({one.no,
                         {store::deployment_id(one.no), device_id, row.id, one.stage, one.model, one.release,
                          one.previous, one.standing, one.activated, one.return_ended, one.offered_watched}});
      facts.rollouts.push_back(
          {row.id, static_cast<std::uint64_t>(row.no), row.spec, row.salt, row.state, row.thresholds});
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [no, one] : found) facts.deployments.push_back(std::move(one));
    return facts;
  });
  return facts_;
}

DeviceFact StoreServer::device(const std::string& id) {
  DeviceFact fact = read<DeviceFact>([&](const store::Reader& reader) -> Result<DeviceFact> {
    DeviceFact out;
    TRY_ASSIGN(const auto device, reader.devices.find_id(id));
    out.view = device->view;
    out.acked_seq = device->acked_seq;
    TRY_ASSIGN(out.installed, reader.devices.installed(device->no));
    return out;
  });
  if (const auto at = signed_.find(id); at != signed_.end()) fact.assignment = at->second;
  return fact;
}

std::vector<std::string> StoreServer::members(const std::string& group) {
  const auto control = store_->control();
  return read<std::vector<std::string>>([&](const store::Reader& reader) -> Result<std::vector<std::string>> {
    store::DeviceFilter filter;
    filter.group = &control->group(group)->group;
    filter.state = fleet::DeviceState::active;
    TRY_ASSIGN(const std::vector<store::Device> devices, reader.devices.list(filter, 0, kAll));
    std::vector<std::string> ids;
    for (const store::Device& device : devices) ids.push_back(device.view.id);
    return ids;
  });
}

std::vector<rollout::Desired> StoreServer::desired(const std::string& id) {
  const auto control = store_->control();
  return read<std::vector<rollout::Desired>>([&](const store::Reader& reader) -> Result<std::vector<rollout::Desired>> {
    TRY_ASSIGN(const auto device, reader.devices.find_id(id));
    TRY_ASSIGN(api::Evaluation evaluation, api::evaluate(reader, *control, *device));
    return std::move(evaluation.desired);
  });
}

}  // namespace

std::unique_ptr<Server> make_store_server(const Catalogue& catalogue, Story& story) {
  return std::make_unique<StoreServer>(catalogue, story);
}

}  // namespace drover::sim
