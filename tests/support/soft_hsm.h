// A token of SoftHSM 2 in a folder of its own. SoftHSM reads its configuration when its module starts, so that there is
// one of these at a time in a process; processes that are started while it lives see the same token.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/support/temp_folder.h"

namespace drover::test {

class SoftHsm {
 public:
  static constexpr const char* kPin = "2468";

  // Empty when it is not installed: the test then says so and is skipped.
  static std::string module() {
    constexpr std::array<const char*, 3> places = {
        "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"};
    for (const char* place : places)
      if (std::filesystem::exists(place)) return place;
    return "";
  }

  SoftHsm() {
    std::filesystem::create_directories(folder_ / "tokens");
    const auto file = folder_.write("softhsm2.conf", "directories.tokendir = " + (folder_ / "tokens").string() +
                                                         "\nobjectstore.backend = file\nlog.level = ERROR\n");
    ::setenv("SOFTHSM2_CONF", file.c_str(), 1);
  }
  ~SoftHsm() { ::unsetenv("SOFTHSM2_CONF"); }

  void make_token(const std::string& label) const {
    const std::string command = "softhsm2-util --init-token --free --label '" + label + "' --so-pin 13579 --pin " +
                                kPin + " >" + (folder_ / "util.log").string() + " 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << folder_.read("util.log");
  }

  // "pkcs11:<path>?module-path=...&pin-source=file:..." with the PIN in a file, or with `query` instead of it.
  std::string uri(const std::string& path) const { return uri(path, "&pin-source=file:" + pin_file().string()); }
  std::string uri(const std::string& path, const std::string& query) const {
    return "pkcs11:" + path + "?module-path=" + module() + query;
  }
  std::filesystem::path pin_file() const {
    const auto file = folder_.write("pin", std::string(kPin) + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return file;
  }
  const TempFolder& folder() const { return folder_; }

 private:
  TempFolder folder_;
};

}  // namespace drover::test
