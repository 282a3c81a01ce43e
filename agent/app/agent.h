// The agent: two loops on one thread. One checks in with the server; the other takes deployments through their
// life-cycle (agent/update). They meet in the store.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "agent/app/steps.h"
#include "common/time/synchronised.h"

namespace drover::agent {

class Agent {
 public:
  // What the outside gives. `files`, `clock` and `rng` outlive the agent.
  struct World {
    fs::Files& files;
    const Clock& clock;
    Rng& rng;
    std::function<bool()> clock_synchronised = clock_is_synchronised;
  };

  // Takes the state folder, brings `current` back in order (without network), opens the socket. Errors say what to do.
  static Result<std::unique_ptr<Agent>> create(boost::asio::io_context& io, Settings settings, World world);
  ~Agent();

  // Starts both loops and listens for signals: TERM and INT stop in good order, HUP and USR1 check in now.
  void start();
  void stop();
  const std::string& device_id() const { return device_id_; }

 private:
  struct Parts;
  Agent(boost::asio::io_context& io, Settings settings, World world);
  Status open();
  Status make_parts();
  Status recover();

  boost::asio::awaitable<void> checkins();
  boost::asio::awaitable<std::chrono::milliseconds> checkin_and_wait();
  boost::asio::awaitable<Status> checkin();
  boost::asio::awaitable<Status> take_assignment(std::string document, std::string nonce);
  Status take_receipt(const wire::CheckinAnswer& answer, bool reported, const std::string& told);
  void tell_refusal(const std::string& document, const Error& error);
  void tell(const update::Target& target, Code code, std::string detail);
  void look_at_clock();
  bool assignment_expired();
  void report_trouble(const std::vector<update::Target>& targets, const Error& error);
  boost::asio::awaitable<void> look_for_freeze();
  WallTime next_fresh_look();
  Result<wire::CheckinRequest> checkin_request();
  std::chrono::milliseconds poll_time();

  boost::asio::awaitable<void> deployments();
  boost::asio::awaitable<void> one_step();
  boost::asio::awaitable<void> feed(update::Event event);
  void finished(const update::Decision& decision);
  bool stop_step() const;

  boost::asio::awaitable<void> pause(boost::asio::steady_timer& timer, std::chrono::milliseconds time);
  void check_in_now();
  void signals();
  void ended();

  boost::asio::io_context& io_;
  Settings settings_;
  World world_;
  Layout layout_;
  DeviceClock clock_;
  std::string device_id_;
  std::unique_ptr<Parts> parts_;
  boost::asio::steady_timer checkin_timer_, work_timer_;
  boost::asio::signal_set signals_;
  bool stopping_ = false;
  bool checkin_wanted_ = false;   // while one is under way: another one right after it
  bool identity_wanted_ = false;  // by the server
  int checkin_failures_ = 0;
  std::string refused_;          // the last assignment that was refused, told once
  bool renewal_wanted_ = false;  // the assignment has expired before a deployment of it began
  bool report_refused_ = false;  // the last one, for its counter
  bool clock_told_ = false;      // that the machine's clock is wrong
  WallTime fresh_look_ = WallTime::max();  // when the metadata is asked for anew though nothing is assigned
  bool frozen_ = false;                    // it was, and did not come
  int running_ = 0;
};

}  // namespace drover::agent
