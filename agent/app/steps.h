// Runs one step of the life-cycle and says what came of it. Everything that a step needs is wired here; nothing is
// decided here. Coroutines on the agent's one thread, one step at a time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/app/device.h"
#include "agent/app/server_link.h"
#include "agent/app/settings.h"
#include "agent/fetch/fetcher.h"
#include "agent/install/installer.h"
#include "agent/report/app_socket.h"
#include "agent/report/trial.h"
#include "agent/store/store.h"
#include "agent/update/lifecycle.h"
#include "agent/validate/validator.h"
#include "agent/vault/vault.h"
#include "agent/verify/contents.h"
#include "agent/verify/trust.h"
#include "common/base/result.h"

namespace drover::agent {

// An event of kind progress while bytes come, for people who watch.
inline constexpr std::chrono::seconds kProgressEvery{5};

// What a step may use. All of it outlives the steps.
struct Tools {
  const Settings& settings;
  const Layout& layout;
  fs::Files& files;
  DeviceClock& clock;
  Store& store;
  ServerLink& link;
  Fetcher& fetcher;
  Trust& trust;
  ContentsReader& contents;
  Installer& installer;
  Vault& vault;
};

class Steps final : public AppListener {
 public:
  Steps(boost::asio::any_io_executor executor, Tools tools);

  // The event is `done` or `failed` of the state's step. `stop` is asked now and then; when it says so the step ends
  // soon, with `failed` and Code::cancelled.
  boost::asio::awaitable<update::Event> run(update::State state, std::function<bool()> stop);
  // Something has changed for a step that waits: it looks at `stop` again.
  void wake();
  // Where to tell applications of a switch; null while there is no socket.
  void set_socket(AppSocket* socket) { socket_ = socket; }

  // `current` shows what this state wants; applications hear of what changed.
  Status show(const update::State& state);
  // At the start, before there are applications: confidential packages that are shown become plain text again. What
  // cannot be opened is told in the log, and tried again by mend().
  void open_shown();
  // Opens what is shown and is not open, asking the server for a key that was lost. True: something is still not open.
  boost::asio::awaitable<bool> mend();
  // Closes and forgets what no slot and no deployment needs.
  void tidy(const update::State& state);
  update::Moment now() const;

  // AppListener
  void app_connected(const std::string& model) override;
  void app_health(const AppMessage& message) override;
  void app_dropped(const std::string& model) override;
  std::string current_switch(const std::string& model) override;

 private:
  using Stop = std::function<bool()>;
  boost::asio::awaitable<Status> sync(update::State state);
  Status preflight(const update::State& state);
  boost::asio::awaitable<update::Event> fetch(update::State state, Stop stop);
  boost::asio::awaitable<Status> verify(update::State state, Stop stop);
  Status stage(const update::State& state);
  boost::asio::awaitable<update::Event> validate(update::State state, Stop stop);
  boost::asio::awaitable<update::Event> confirm(update::State state, Stop stop);
  Status commit(const update::State& state);
  boost::asio::awaitable<void> wait_until(MonoTime time);
  void told_traffic(const Traffic& traffic);
  struct Held;
  Held held_packages(const std::string& model);
  // None: the package is not confidential.
  Result<std::optional<Confidential>> confidential(const std::string& package);
  boost::asio::awaitable<Status> ensure_key(Confidential what);
  // All that `current` is to show, and the package itself.
  boost::asio::awaitable<Status> open_wanted(update::State state, Stop stop);
  boost::asio::awaitable<Status> open_package(std::string package, Stop stop);
  std::string folder_of(const std::string& package);
  void wait_for_delta(const update::State& state, update::Event& event);

  Tools tools_;
  AppSocket* socket_ = nullptr;
  Validator validator_;
  std::map<std::string, int> applications_;  // connections by model
  std::optional<Trial> trial_;
  boost::asio::steady_timer timer_;
  MonoTime progress_at_{};
  int mend_failures_ = 0;
};

update::Event done_event();
update::Event failed_event(const Error& error);

}  // namespace drover::agent
