#include "tests/unit/agent/install_device.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>

#include "agent/fetch/download.h"
#include "common/crypto/hash.h"

namespace drover::agent::test {

namespace asio = boost::asio;
using update::Event;
using update::Step;

Status MemoryLedger::apply(const update::Decision& decision) {
  state_ = decision.next;
  if (decision.record) slot_ = update::recorded(slot_, decision.next.target, WallTime{});
  if (decision.finished) slot_.last_deployment = decision.next.target.deployment;
  return {};
}

Release make_release(const std::string& version) {
  Release release;
  release.version = version;
  release.files = {{"model.onnx", "the model of " + version},
                   {"drover.json", "{}"},  // the same in each release
                   {"golden/inputs.f32", "inputs of " + version},
                   {"golden/deep/outputs.f32", "outputs of " + version}};
  for (const auto& [path, bytes] : release.files)
    release.manifest.files.push_back({path, crypto::sha256(bytes), bytes.size(), std::string(package::kWeightLayer)});
  release.manifest.config.media_type = package::kConfigType;
  release.manifest.config.digest = crypto::sha256("config");
  release.manifest.config.size = 6;
  release.package = crypto::sha256(package::print_manifest(release.manifest)).text();
  release.target.model = "digits";
  release.target.release = version;
  release.target.deployment = "dep-" + version;
  release.target.package = release.package;
  return release;
}

namespace {

asio::awaitable<Status> download(Download& file, std::string bytes) {
  Status status = co_await file.open(nullptr);
  if (!status) co_return std::move(status);
  CO_TRY(file.begin_try());
  for (std::size_t at = file.offset(); at < bytes.size(); at += 5) CO_TRY(file.write(bytes.substr(at, 5)));
  co_return co_await file.finish(nullptr);
}

}  // namespace

Status Device::fetch(const Release& release) {
  for (const auto& [path, bytes] : release.files) {
    const std::string digest = crypto::sha256(bytes).text();
    if (fs::exists(files_, layout_.blob(digest))) continue;
    Download file(files_, clock_, layout_, digest, bytes.size(), release.target.deployment);
    asio::io_context io;
    Status status;
    std::exception_ptr fault;
    asio::co_spawn(io, download(file, bytes), [&](std::exception_ptr thrown, Status done) {
      fault = thrown;
      status = std::move(done);
    });
    io.run();
    if (fault) std::rethrow_exception(fault);
    TRY(std::move(status));
    clock_.advance(std::chrono::seconds(2));
  }
  return {};
}

Event Device::run(const Release& release, bool healthy) {
  const update::State& state = ledger_.state();
  Status status;
  switch (state.step) {
    case Step::fetch:
      status = fetch(release);
      break;
    case Step::stage:
      status = installer_.stage(release.package, release.manifest);
      break;
    case Step::activate:
    case Step::roll_back:
      status = installer_.show(update::wanted_links(state, ledger_.slots()));
      break;
    case Step::confirm:
      if (!healthy) status = Error(Code::unhealthy, "not well");
      break;
    default:
      break;
  }
  Event event;
  event.kind = status ? Event::Kind::done : Event::Kind::failed;
  if (!status) {
    event.code = status.error().code();
    event.detail = status.error().message();
  }
  event.now = {files_.boot_id().value_or(""), std::chrono::nanoseconds(0)};
  return event;
}

Status Device::recover() {
  TRY(installer_.prepare());
  Event event;
  event.kind = Event::Kind::restarted;
  event.now = {files_.boot_id().value_or(""), std::chrono::nanoseconds(0)};
  const update::Decision decision = update::decide(ledger_.state(), event);
  if (decision.taken) TRY(ledger_.apply(decision));
  return installer_.show(update::wanted_links(ledger_.state(), ledger_.slots()));
}

Status Device::deploy(const Release& release, bool healthy) {
  if (ledger_.state().step == Step::idle) {
    const auto slots = ledger_.slots();
    Event event;
    event.kind = Event::Kind::assigned;
    event.target = release.target;
    if (!slots.empty()) event.previous = slots[0].current.package;
    if (!slots.empty() && slots[0].last_deployment == release.target.deployment) return {};
    TRY(ledger_.apply(update::decide(ledger_.state(), event)));
  }
  while (ledger_.state().step != Step::idle) {
    const update::Decision decision = update::decide(ledger_.state(), run(release, healthy));
    TRY(ledger_.apply(decision));
    if (decision.finished)
      TRY(installer_.collect(update::kept_packages(ledger_.state(), ledger_.slots()), decision.record));
  }
  return {};
}

namespace {

Status check_package(fs::Files& files, const std::string& folder, const Release& release) {
  for (const auto& [path, bytes] : release.files) {
    TRY_ASSIGN(const std::string found, files.read(folder + "/" + path, 1000).within(release.version));
    if (found != bytes) return Error(Code::io, release.version + "/" + path + " holds \"" + found + "\"");
  }
  return {};
}

}  // namespace

Result<std::string> look(fs::Files& files, const std::string& folder, const std::vector<Release>& releases) {
  const auto link = files.read_link(folder + "/current");
  if (!link) return std::string();
  const auto model = files.read_link(folder + "/" + *link + "/digits");
  if (!model) return std::string();
  for (const Release& release : releases) {
    if (!model->ends_with(Layout::hex(release.package))) continue;
    TRY(check_package(files, folder + "/current/digits", release));
    return release.version;
  }
  return Error(Code::io, "current leads to " + *model);
}

Status check_packages(fs::Files& files, const std::string& folder, const std::vector<Release>& releases) {
  TRY_ASSIGN(const auto names, files.list(folder + "/packages"));
  for (const std::string& name : names) {
    const auto is_it = [&](const Release& release) { return Layout::hex(release.package) == name; };
    const auto release = std::find_if(releases.begin(), releases.end(), is_it);
    if (release == releases.end()) return Error(Code::io, "what is packages/" + name + "?");
    TRY(check_package(files, folder + "/packages/" + name, *release));
  }
  return {};
}

}  // namespace drover::agent::test
