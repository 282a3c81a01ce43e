#include "agent/app/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::agent {
namespace {

using Type = SettingInfo::Type;
constexpr std::size_t kMaxConfig = 256 * 1024;
constexpr std::size_t kMaxSetting = 4096;
constexpr std::int64_t kWeek = 7 * 24 * 3600;

constexpr std::array kInfos = {
    SettingInfo{"state", Type::text, "folder", "where everything of this device is kept; must be set"},
    SettingInfo{"server", Type::text, "URL", "https://host[:port] of the server; must be set"},
    SettingInfo{"ca", Type::text, "file", "PEM of who signed the server's certificate; default: the system's store"},
    SettingInfo{"client_certificate", Type::text, "file",
                "PEM chain that this device shows to a server that asks for one; default: none"},
    SettingInfo{"client_key", Type::text, "file", "its private key, PEM"},
    SettingInfo{"trusted_root", Type::text, "file",
                "root.json that this device trusts; needed at its first start only"},
    SettingInfo{"kind", Type::text, "", "kind of hardware, as releases name it; must be set"},
    SettingInfo{"name", Type::text, "", "what people call this device"},
    SettingInfo{"attributes", Type::pairs, "key=value", "facts for groups; an object in the file, else repeated"},
    SettingInfo{"device_key", Type::text, "",
                "private key of this device: a file with mode 0600, or a pkcs11: URI; default: device.key in the state "
                "folder, made at first start"},
    SettingInfo{
        "clock", Type::text, "",
        "whether this machine's clock is right: trusted, untrusted (it has no battery), or auto: while the kernel "
        "calls it synchronised; default auto"},
    SettingInfo{"enrolment_token", Type::text, "", "lets a new device in without an operator"},
    SettingInfo{"enrolment_token_file", Type::text, "file", "the same, from a file"},
    SettingInfo{"poll_seconds", Type::number, "seconds", "between check-ins; default 0: as the server says", 0, kWeek},
    SettingInfo{"jitter_percent", Type::number, "percent", "of the time between check-ins, at random; default 10", 0,
                50},
    SettingInfo{"max_rate", Type::number, "bytes a second", "bound for downloads; default 0: none", 0, INT64_MAX},
    SettingInfo{"request_seconds", Type::number, "seconds", "for a whole request that is no download; default 30", 1,
                3600},
    SettingInfo{"stall_seconds", Type::number, "seconds",
                "a download is tried anew when less than 128 bytes a second come for so long; default 30", 1, 3600},
    SettingInfo{"metered", Type::truth, "",
                "of a file that the device holds an earlier version of, fetch the delta or nothing; default false"},
    SettingInfo{"patcher", Type::text, "file", "program that applies deltas; default: drover-patch beside the agent"},
    SettingInfo{"validator", Type::text, "file",
                "program that validates; default: drover-validate-onnx beside the agent"},
    SettingInfo{"onnxruntime", Type::text, "file", "ONNX Runtime library, for the validator; default: its own search"},
    SettingInfo{"confirm_without_application", Type::truth, "",
                "keep a release although no application speaks to the agent; default false"},
    SettingInfo{"plain_folder", Type::text, "folder",
                "in a tmpfs: where confidential models are plain text for applications; default /run/drover"},
    SettingInfo{"box_key", Type::text, "file",
                "the key that opens this device's content keys; made when absent; default: box.key in the state folder"},
    SettingInfo{"allow_swap", Type::truth, "",
                "take confidential models although memory may be swapped to a disk (an encrypted one); default false"},
    SettingInfo{"log_level", Type::text, "", "debug, info, warn, error or off; default info"},
    SettingInfo{"log_format", Type::text, "", "logfmt or json; default logfmt"},
};

std::string* text_of(Settings& settings, std::string_view name) {
  if (name == "state") return &settings.state;
  if (name == "server") return &settings.server;
  if (name == "ca") return &settings.ca;
  if (name == "client_certificate") return &settings.client_certificate;
  if (name == "client_key") return &settings.client_key;
  if (name == "trusted_root") return &settings.trusted_root;
  if (name == "kind") return &settings.kind;
  if (name == "name") return &settings.name;
  if (name == "device_key") return &settings.device_key;
  if (name == "clock") return &settings.clock;
  if (name == "enrolment_token") return &settings.enrolment_token;
  if (name == "enrolment_token_file") return &settings.enrolment_token_file;
  if (name == "patcher") return &settings.patcher;
  if (name == "validator") return &settings.validator;
  if (name == "onnxruntime") return &settings.onnxruntime;
  if (name == "plain_folder") return &settings.plain_folder;
  if (name == "box_key") return &settings.box_key;
  if (name == "log_level") return &settings.log_level;
  return &settings.log_format;
}

std::int64_t* number_of(Settings& settings, std::string_view name) {
  if (name == "poll_seconds") return &settings.poll_seconds;
  if (name == "request_seconds") return &settings.request_seconds;
  if (name == "stall_seconds") return &settings.stall_seconds;
  return name == "max_rate" ? &settings.max_rate : &settings.jitter_percent;
}

bool* truth_of(Settings& settings, std::string_view name) {
  if (name == "metered") return &settings.metered;
  return name == "allow_swap" ? &settings.allow_swap : &settings.confirm_without_application;
}

Status read_file(const std::string& path, fs::Files& files, Settings& settings) {
  TRY_ASSIGN(const std::string text, files.read(path, kMaxConfig));
  TRY_ASSIGN(const json::Value document, json::parse(text, kMaxConfig));
  json::Reader in(document);
  for (const SettingInfo& info : kInfos) {
    if (info.type == Type::text) {
      std::string& value = *text_of(settings, info.name);
      value = in.text_or(info.name, value, kMaxSetting);
    } else if (info.type == Type::number) {
      std::int64_t& value = *number_of(settings, info.name);
      value = in.integer_or(info.name, value, info.low, info.high);
    } else if (info.type == Type::truth) {
      bool& value = *truth_of(settings, info.name);
      value = in.boolean_or(info.name, value);
    } else {
      settings.attributes =
          in.text_map_or_none(info.name, wire::kMaxAttributes, wire::kMaxAttributeKey, wire::kMaxAttributeValue);
    }
  }
  return in.finish();
}

Error wrong(std::string_view name, const std::string& why) {
  return Error(Code::invalid_argument, "--" + std::string(name) + ": " + why);
}

Status set(const SettingInfo& info, const std::string& value, Settings& settings) {
  if (info.type == Type::text) {
    *text_of(settings, info.name) = value;
  } else if (info.type == Type::number) {
    std::int64_t number = 0;
    const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (fault != std::errc() || end != value.data() + value.size() || number < info.low || number > info.high)
      return wrong(info.name, "takes a number from " + std::to_string(info.low) + " to " + std::to_string(info.high));
    *number_of(settings, info.name) = number;
  } else if (info.type == Type::truth) {
    if (value != "true" && value != "false") return wrong(info.name, "takes true or false");
    *truth_of(settings, info.name) = value == "true";
  } else {
    const std::size_t equals = value.find('=');
    if (equals == 0 || equals == std::string::npos) return wrong(info.name, "takes key=value");
    settings.attributes.emplace_back(value.substr(0, equals), value.substr(equals + 1));
  }
  return {};
}

Status read_arguments(std::span<const std::string> arguments, Settings& settings) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i], value;
    if (!name.starts_with("--")) return Error(Code::invalid_argument, "what is \"" + name + "\"? see --help");
    name.erase(0, 2);
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return wrong(name, "needs a value");
    }
    if (name == "config") continue;
    std::replace(name.begin(), name.end(), '-', '_');
    const auto info = std::find_if(kInfos.begin(), kInfos.end(), [&](const auto& each) { return each.name == name; });
    if (info == kInfos.end()) return Error(Code::invalid_argument, "there is no setting --" + name + "; see --help");
    TRY(set(*info, value, settings));
  }
  return {};
}

std::string config_argument(std::span<const std::string> arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--config=")) return arguments[i].substr(9);
    if (arguments[i] == "--config" && i + 1 < arguments.size()) return arguments[i + 1];
  }
  return "";
}

Status check(const Settings& settings) {
  if (settings.state.empty()) return wrong("state", "must be set");
  if (settings.server.empty()) return wrong("server", "must be set");
  if (settings.kind.empty()) return wrong("kind", "must be set");
  if (settings.client_certificate.empty() != settings.client_key.empty())
    return wrong("client_certificate", "and --client_key belong together: set both or neither");
  if (settings.name.size() > wire::kMaxName || settings.kind.size() > wire::kMaxName)
    return Error(Code::invalid_argument, "name or kind is too long");
  if (settings.attributes.size() > wire::kMaxAttributes) return wrong("attributes", "are too many");
  if (settings.clock != "auto" && settings.clock != "trusted" && settings.clock != "untrusted")
    return wrong("clock", "takes auto, trusted or untrusted");
  if (!settings.plain_folder.starts_with('/')) return wrong("plain_folder", "must be an absolute path");
  if (settings.log_format != "logfmt" && settings.log_format != "json")
    return wrong("log_format", "takes logfmt or json");
  return {};
}

}  // namespace

std::span<const SettingInfo> setting_infos() { return kInfos; }

Result<Settings> read_settings(std::span<const std::string> arguments, fs::Files& files) {
  Settings settings;
  const std::string config = config_argument(arguments);
  if (!config.empty()) TRY(read_file(config, files, settings).within(config));
  TRY(read_arguments(arguments, settings));
  TRY(check(settings));
  std::sort(settings.attributes.begin(), settings.attributes.end());
  if (settings.enrolment_token.empty() && !settings.enrolment_token_file.empty()) {
    TRY_ASSIGN(settings.enrolment_token, files.read(settings.enrolment_token_file, kMaxSetting));
    while (!settings.enrolment_token.empty() && settings.enrolment_token.back() == '\n')
      settings.enrolment_token.pop_back();
  }
  return settings;
}

std::string settings_help() {
  std::string text = "  --config FILE\n      JSON object with any of the settings below\n";
  for (const SettingInfo& info : kInfos) {
    text += "  --" + std::string(info.name);
    text += info.type == Type::truth ? " true|false"
            : info.unit.empty()      ? " TEXT"
                                     : " <" + std::string(info.unit) + ">";
    text += "\n      " + std::string(info.sentence) + "\n";
  }
  return text;
}

}  // namespace drover::agent
