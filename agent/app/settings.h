// The agent's settings, declared once: the table below gives the configuration file (one JSON object), the command line
// (--name value, over the file) and --help.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/fs/files.h"
#include "proto/wire/device.h"

namespace drover::agent {

struct Settings {
  std::string state;
  std::string server;
  std::string ca;
  std::string client_certificate;
  std::string client_key;
  std::string trusted_root;
  std::string name;
  std::string kind;
  wire::Attributes attributes;
  std::string device_key;
  std::string clock = "auto";
  std::string enrolment_token;
  std::string enrolment_token_file;
  std::int64_t poll_seconds = 0;
  std::int64_t jitter_percent = 10;
  std::int64_t max_rate = 0;
  std::int64_t request_seconds = 30;
  std::int64_t stall_seconds = 30;
  bool metered = false;
  std::string patcher;
  std::string validator;
  std::string onnxruntime;
  bool confirm_without_application = false;
  std::string plain_folder = "/run/drover";
  std::string box_key;
  bool allow_swap = false;
  std::string log_level = "info";
  std::string log_format = "logfmt";
};

struct SettingInfo {
  enum class Type { text, number, truth, pairs };
  std::string_view name;
  Type type;
  std::string_view unit;           // may be empty
  std::string_view sentence;       // what it does, and its default
  std::int64_t low = 0, high = 0;  // of a number
};
std::span<const SettingInfo> setting_infos();

// `arguments`: of the command line, without the program's name. Reads the file that --config names. Errors name the
// setting and say what is wrong with it.
Result<Settings> read_settings(std::span<const std::string> arguments, fs::Files& files);
std::string settings_help();

}  // namespace drover::agent
