// drover-server: init, serve, admin-token, cert, settings.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "common/obs/log.h"
#include "server/app/reload.h"
#include "server/app/serve.h"
#include "server/app/settings.h"

namespace drover::server {
namespace {

constexpr std::string_view kUsage =
    "drover-server [COMMAND] [OPTIONS]\n\n"
    "  serve       serve devices and people (the default; makes the data folder when it is absent)\n"
    "  init        make the data folder with its keys, and the first admin's token\n"
    "  admin-token make another admin's token, on the server and while it is stopped: for when all have expired or are "
    "lost\n"
    "  cert        make a self-signed certificate for local use: --data FOLDER [--hosts NAME,ADDRESS,...]\n"
    "  settings    print the reference of all settings\n\n"
    "Options, also as a JSON file (--config):\n";

Result<std::string> read_config(const std::string& path) {
  if (path.empty()) return std::string();
  const std::ifstream file(path);
  if (!file) return Error(Code::not_found, "cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<net::Listen> parse_listen(const std::string& text, bool tls) {
  const std::size_t colon = text.rfind(':');
  net::Listen listen;
  listen.tls = tls;
  if (colon == std::string::npos) return Error(Code::invalid_argument, "listen needs ADDRESS:PORT, not " + text);
  listen.address = text.substr(0, colon);
  if (listen.address.size() > 2 && listen.address.front() == '[') listen.address = listen.address.substr(1, colon - 2);
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + colon + 1, end, listen.port);
  if (error != std::errc() || at != end) return Error(Code::invalid_argument, "no port number in " + text);
  return listen;
}

Result<DataFolder> data_of(const config::Values& values) {
  if (values.text("data").empty()) return Error(Code::invalid_argument, "--data FOLDER is needed");
  return DataFolder{values.text("data")};
}

Status find_certificate(const config::Values& values, const DataFolder& data, ServeOptions& options) {
  options.http.tls = {values.text("tls_certificate"), values.text("tls_key"), values.text("tls_client_ca")};
  if (!options.http.tls.certificate.empty() || values.text("listen").empty()) return {};
  if (values.truth("self_signed") && !std::filesystem::exists(data.certificate()))
    TRY(make_certificate(data.certificate(), data.certificate_key(), {"localhost", "127.0.0.1", "::1"}, system_rng()));
  if (!std::filesystem::exists(data.certificate()))
    return Error(Code::not_found, "no certificate: give --tls-certificate and --tls-key, or --self-signed, or set "
                                  "--listen '' and --plain-listen behind a proxy");
  options.http.tls.certificate = data.certificate();
  options.http.tls.key = data.certificate_key();
  return {};
}

Result<api::ProxyTrust> proxies_of(const config::Values& values) {
  api::ProxyTrust trust;
  trust.certificates = values.truth("proxy_certificates");
  std::istringstream list(values.text("trusted_proxies"));
  for (std::string address; std::getline(list, address, ',');) {
    boost::system::error_code error;
    const auto parsed = boost::asio::ip::make_address(address, error);
    if (error) return Error(Code::invalid_argument, "trusted_proxies: '" + address + "' is no IP address");
    trust.addresses.push_back(parsed.to_string());  // as the address of a connection is written
  }
  if (trust.certificates && trust.addresses.empty())
    return Error(Code::invalid_argument, "proxy_certificates needs trusted_proxies");
  return trust;
}

Status find_peers(const config::Values& values, ServeOptions& options) {
  TRY_ASSIGN(options.api.proxies, proxies_of(values));
  options.api.device_certificates = values.truth("device_certificates");
  if (options.api.device_certificates && options.http.tls.authority.empty() && !options.api.proxies.certificates)
    return Error(Code::invalid_argument,
                 "device_certificates needs tls_client_ca, or a proxy that checks them (proxy_certificates)");
  return {};
}

Result<ServeOptions> options_of(const config::Values& values) {
  ServeOptions options;
  TRY_ASSIGN(options.data, data_of(values));
  for (const auto& [name, tls] : {std::pair{"listen", true}, std::pair{"plain_listen", false}}) {
    if (values.text(name).empty()) continue;
    TRY_ASSIGN(const net::Listen listen, parse_listen(values.text(name), tls));
    options.http.listen.push_back(listen);
  }
  if (options.http.listen.empty()) return Error(Code::invalid_argument, "give --listen or --plain-listen");
  TRY(find_certificate(values, options.data, options));
  TRY(find_peers(values, options));
  options.http.threads = static_cast<unsigned>(values.number("threads"));
  options.http.max_connections = static_cast<std::uint32_t>(values.number("max_connections"));
  options.readers = static_cast<unsigned>(values.number("readers"));
  options.stop_within = std::chrono::seconds(values.number("stop_seconds"));
  options.api.poll = std::chrono::seconds(values.number("poll_seconds"));
  options.api.session = std::chrono::seconds(values.number("session_seconds"));
  options.api.assignment = std::chrono::seconds(values.number("assignment_seconds"));
  options.api.snapshot = std::chrono::seconds(values.number("snapshot_seconds"));
  options.api.timestamp = std::chrono::seconds(values.number("timestamp_seconds"));
  options.api.expiry_warn = std::chrono::days(values.number("expiry_warn_days"));
  options.api.expiry_urgent = std::chrono::days(values.number("expiry_urgent_days"));
  options.api.delta_wait = std::chrono::seconds(values.number("delta_wait_seconds"));
  options.delta_budget = static_cast<std::uint64_t>(values.number("delta_budget_mib")) << 20;
  options.delta_threads = static_cast<unsigned>(values.number("delta_threads"));
  options.api.max_pending = values.number("max_pending");
  options.api.wrapping_key = values.text("wrapping_key");
  return options;
}

Status set_log(const config::Values& values) {
  if (!log::set_level(values.text("log_level"))) return Error(Code::invalid_argument, "log_level is none of its words");
  log::set_format(values.text("log_format") == "json" ? log::Format::json : log::Format::logfmt);
  return {};
}

void show_token(const std::string& token) {
  if (!token.empty()) std::printf("The first admin's token, shown this once:\n%s\n", token.c_str());
  std::fflush(stdout);
}

void announce(Server& server, const ServeOptions& options) {
  for (std::size_t i = 0; i < options.http.listen.size(); ++i) {
    const net::Listen& listen = options.http.listen[i];
    log::info("listening", {{"address", listen.address}, {"port", server.http().port(i)}, {"tls", listen.tls}});
    std::printf("listening on %s://%s:%u\n", listen.tls ? "https" : "http", listen.address.c_str(),
                static_cast<unsigned>(server.http().port(i)));
  }
  std::fflush(stdout);
}

// Waits for the end. Made before anybody is told that the server listens, so that no signal finds it unprepared.
// SIGHUP reads the TLS files anew; so does a change of them, once they have come to rest.
class Signals {
 public:
  Signals(const net::TlsFiles& files, std::chrono::seconds every)
      : end_(context_, SIGTERM, SIGINT),
        reload_(context_, SIGHUP),
        timer_(context_),
        every_(every),
        watch_({files.certificate, files.key, files.authority}) {}

  void wait(Server& server) {
    wait_reload(server);
    wait_change(server);
    end_.async_wait([this](const boost::system::error_code&, int signal) {
      log::info("stopping", {{"signal", signal}});
      reload_.cancel();
      timer_.cancel();
    });
    context_.run();
  }

 private:
  void wait_reload(Server& server) {
    reload_.async_wait([this, &server](const boost::system::error_code& error, int) {
      if (error) return;
      reload_certificate(server.http());
      wait_reload(server);
    });
  }

  void wait_change(Server& server) {
    if (every_ == std::chrono::seconds(0)) return;
    timer_.expires_after(every_);
    timer_.async_wait([this, &server](const boost::system::error_code& error) {
      if (error) return;
      if (watch_.has_changed()) reload_certificate(server.http());
      wait_change(server);
    });
  }

  boost::asio::io_context context_{1};
  boost::asio::signal_set end_, reload_;
  boost::asio::steady_timer timer_;
  std::chrono::seconds every_;
  FileWatch watch_;
};

Status serve(const config::Values& values) {
  TRY(set_log(values));
  TRY_ASSIGN(const ServeOptions options, options_of(values));
  TRY_ASSIGN(const auto server, Server::open(options, system_clock(), system_rng()));
  TRY_ASSIGN(const std::string token, first_admin_token(server->store(), values.text("admin_token_file"),
                                                        system_clock(), system_rng()));
  show_token(token);
  Signals signals(options.http.tls, std::chrono::seconds(values.number("tls_reload_seconds")));
  server->start();
  announce(*server, options);
  signals.wait(*server);
  server->stop();
  log::info("stopped");
  return {};
}

Status init(const config::Values& values) {
  TRY_ASSIGN(const DataFolder data, data_of(values));
  TRY(prepare(data, system_rng()));
  const std::filesystem::path wrapping = values.text("wrapping_key");
  TRY(make_wrapping_key(wrapping.empty() ? data.wrapping_key() : wrapping, system_rng()));
  TRY_ASSIGN([[maybe_unused]] const api::Keys keys, load_keys(data, system_rng()).within("the server's keys"));
  if (values.truth("self_signed") && !std::filesystem::exists(data.certificate()))
    TRY(make_certificate(data.certificate(), data.certificate_key(), {"localhost", "127.0.0.1", "::1"}, system_rng()));
  store::StoreOptions options;
  options.file = data.database();
  TRY_ASSIGN(const auto store, store::open_sqlite(options, system_clock()));
  TRY_ASSIGN(const std::string token, first_admin_token(*store, values.text("admin_token_file"), system_clock(), system_rng()));
  show_token(token);
  store->stop();
  return {};
}

Status another_admin(const config::Values& values) {
  TRY_ASSIGN(const DataFolder data, data_of(values));
  if (!std::filesystem::exists(data.database()))
    return Error(Code::not_found, "no server has its data in " + data.folder.string());
  store::StoreOptions options;
  options.file = data.database();
  TRY_ASSIGN(const auto store, store::open_sqlite(options, system_clock()));
  TRY_ASSIGN(const std::string token,
             admin_token(*store, "admin of the server", values.text("admin_token_file"), system_clock(), system_rng()));
  if (!token.empty()) std::printf("An admin's token, shown this once:\n%s\n", token.c_str());
  store->stop();
  return {};
}

Status make_cert(std::vector<std::string> arguments) {
  std::string hosts = config::peek(arguments, "hosts");
  if (hosts.empty()) hosts = "localhost,127.0.0.1,::1";
  const DataFolder data{config::peek(arguments, "data")};
  if (data.folder.empty()) return Error(Code::invalid_argument, "--data FOLDER is needed");
  std::vector<std::string> names;
  std::istringstream list(hosts);
  for (std::string name; std::getline(list, name, ',');) names.push_back(name);
  TRY(make_certificate(data.certificate(), data.certificate_key(), names, system_rng()));
  std::printf("%s\n%s\n", data.certificate().c_str(), data.certificate_key().c_str());
  return {};
}

Status run(std::vector<std::string> arguments) {
  std::string command = "serve";
  if (!arguments.empty() && !arguments.front().starts_with("-")) {
    command = arguments.front();
    arguments.erase(arguments.begin());
  }
  for (const std::string& argument : arguments)
    if (argument == "--help" || argument == "-h") command = "help";
    else if (argument == "--version") command = "version";
  if (command == "help") return std::printf("%s%s", kUsage.data(), config::help(settings()).c_str()), Status();
  if (command == "version") return std::printf("drover-server %s\n", DROVER_VERSION), Status();
  if (command == "settings") return std::printf("%s", config::reference(settings()).c_str()), Status();
  if (command == "cert") return make_cert(std::move(arguments));
  TRY_ASSIGN(const std::string file, read_config(config::peek(arguments, "config")));
  TRY_ASSIGN(const config::Values values, config::parse(settings(), arguments, file));
  if (command == "init") return init(values);
  if (command == "admin-token") return another_admin(values);
  if (command == "serve") return serve(values);
  return Error(Code::invalid_argument, "there is no command " + command + "; see --help");
}

}  // namespace
}  // namespace drover::server

int main(int argc, char** argv) {
  const drover::Status status = drover::server::run({argv + 1, argv + argc});
  if (status) return 0;
  std::fprintf(stderr, "drover-server: %s\n", status.error().message().c_str());
  return status.error().code() == drover::Code::invalid_argument ? 2 : 1;
}
