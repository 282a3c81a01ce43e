#include "agent/report/app_socket.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <set>

#include "common/obs/log.h"

namespace drover::agent {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr std::size_t kMaxSocketPath = 107;  // sun_path with its final NUL has 108 bytes

class Connection;

// What connections share with the socket that accepted them; outlives it while they end.
struct Hub {
  AppListener* listener = nullptr;  // null once the socket is closed
  std::set<std::shared_ptr<Connection>> open;
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Protocol::socket socket, std::shared_ptr<Hub> hub) : socket_(std::move(socket)), hub_(std::move(hub)) {}

  void start() {
    hub_->open.insert(shared_from_this());
    read();
  }

  void send(std::string line) {
    if (closed_) return;
    if (unsent_.size() >= kMaxUnsentLines) return close();
    unsent_.push_back(std::move(line));
    if (unsent_.size() == 1) write();
  }

  void close() {
    if (closed_) return;
    closed_ = true;
    error_code ignored;
    socket_.close(ignored);
    hub_->open.erase(shared_from_this());
    if (hub_->listener != nullptr && !model_.empty()) hub_->listener->app_dropped(model_);
  }

  const std::string& model() const { return model_; }

 private:
  void read() {
    auto self = shared_from_this();
    asio::async_read_until(socket_, asio::dynamic_buffer(input_, kMaxAppLine), '\n',
                           [self](error_code error, std::size_t size) { self->on_read(error, size); });
  }

  void on_read(error_code error, std::size_t size) {
    if (error || closed_ || hub_->listener == nullptr) return close();
    const std::string line = input_.substr(0, size - 1);
    input_.erase(0, size);
    const auto message = parse_app_message(line);
    if (!message) {
      send(error_line(message.error()));
      if (message.error().code() != Code::unsupported) return close();
    } else {
      handle(*message);
    }
    if (!closed_) read();
  }

  void handle(const AppMessage& message) {
    if (message.type == AppMessage::Type::hello) {
      if (!model_.empty() && model_ != message.model) return close();
      const bool first = model_.empty();
      model_ = message.model;
      if (first) hub_->listener->app_connected(model_);
      send(welcome_line());
      std::string current = hub_->listener->current_switch(model_);
      if (!current.empty()) send(std::move(current));
    } else if (message.type == AppMessage::Type::health) {
      hub_->listener->app_health(message);
    }
  }

  void write() {
    auto self = shared_from_this();
    asio::async_write(socket_, asio::buffer(unsent_.front()), [self](error_code error, std::size_t) {
      if (error || self->closed_) return self->close();
      self->unsent_.pop_front();
      if (!self->unsent_.empty()) self->write();
    });
  }

  Protocol::socket socket_;
  std::shared_ptr<Hub> hub_;
  std::string input_;
  std::string model_;
  std::deque<std::string> unsent_;
  bool closed_ = false;
};

class Acceptor final : public AppSocket {
 public:
  Acceptor(asio::any_io_executor executor, std::string path, AppListener& listener)
      : acceptor_(executor), path_(std::move(path)), hub_(std::make_shared<Hub>()) {
    hub_->listener = &listener;
  }
  ~Acceptor() override { Acceptor::close(); }

  Status open() {
    if (path_.size() > kMaxSocketPath)
      return Error(Code::too_large, path_ + " is too long for a socket; choose a shorter state folder");
    ::unlink(path_.c_str());
    error_code error;
    acceptor_.open(Protocol(), error);
    if (!error) acceptor_.bind(Protocol::endpoint(path_), error);
    if (!error) acceptor_.listen(static_cast<int>(kMaxApplications), error);
    if (error) return Error(Code::io, "listening on " + path_ + ": " + error.message());
    ::chmod(path_.c_str(), 0660);  // the agent's group may speak to it
    accept();
    return {};
  }

  void announce(const std::string& model, const std::string& line) override {
    const auto open = hub_->open;  // sending may close
    for (const auto& connection : open)
      if (connection->model() == model) connection->send(line);
  }

  std::size_t connections() const override { return hub_->open.size(); }

  void close() override {
    hub_->listener = nullptr;
    if (acceptor_.is_open()) ::unlink(path_.c_str());
    error_code ignored;
    acceptor_.close(ignored);
    const auto open = hub_->open;
    for (const auto& connection : open) connection->close();
  }

 private:
  void accept() {
    auto hub = hub_;
    acceptor_.async_accept([this, hub](error_code error, Protocol::socket socket) {
      if (hub->listener == nullptr) return;  // closed: `this` may be gone
      if (!error && hub->open.size() < kMaxApplications)
        std::make_shared<Connection>(std::move(socket), hub)->start();
      else if (!error)
        log::warn("an application was turned away, there are too many", {{"open", hub->open.size()}});
      accept();
    });
  }

  Protocol::acceptor acceptor_;
  std::string path_;
  std::shared_ptr<Hub> hub_;
};

}  // namespace

Result<std::unique_ptr<AppSocket>> AppSocket::open(asio::any_io_executor executor, const std::string& path,
                                                   AppListener& listener) {
  auto acceptor = std::make_unique<Acceptor>(std::move(executor), path, listener);
  TRY(acceptor->open());
  return std::unique_ptr<AppSocket>(std::move(acceptor));
}

}  // namespace drover::agent
