// What every store must do, whatever stands behind it. Each way of opening one is a parameter of the suite.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "server/store/store.h"
#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::store {

struct Kind {
  std::string name;
  // Opens the store that lives in the folder; opened again it holds what was stored.
  std::function<Result<std::unique_ptr<Store>>(const std::filesystem::path& folder, const Clock& clock)> open;
};

// In a test's name; without it the bytes of the object stand there, addresses among them.
inline void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

inline Kind sqlite_kind() {
  return {"Sqlite", [](const std::filesystem::path& folder, const Clock& clock) {
            StoreOptions options;
            options.file = folder / "store.db";
            return open_sqlite(options, clock);
          }};
}

class StoreSuite : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { reopen(); }
  void reopen() {
    store_.reset();
    auto opened = GetParam().open(folder_.path(), clock_);
    ASSERT_OK(opened);
    store_ = std::move(*opened);
  }
  template <class T>
  Result<T> write(std::function<Result<T>(Writer&)> fn) {
    return store_->write_now<T>(std::move(fn));
  }
  Status write(std::function<Status(Writer&)> fn) { return store_->write_now<void>(std::move(fn)); }
  template <class T>
  Result<T> read(std::function<Result<T>(const Reader&)> fn) {
    return store_->read_now<T>(std::move(fn));
  }

  // An active device; its key, and so its id, comes from `n`.
  Device device(int n, std::string kind = "kiosk-x64") const {
    Device out;
    out.key[0] = static_cast<std::uint8_t>(n);
    out.key[1] = static_cast<std::uint8_t>(n >> 8);
    out.view.id = crypto::device_id(out.key);
    out.view.name = "device " + std::to_string(n);
    out.view.kind = std::move(kind);
    out.enrolled_at = clock_.wall();
    return out;
  }
  Device enrol(Device wanted) {
    auto no = write<DeviceNo>([&](Writer& writer) { return writer.devices.insert(wanted); });
    EXPECT_OK(no);
    wanted.no = no ? *no : 0;
    return wanted;
  }

  test::TempFolder folder_;
  ManualClock clock_{WallTime(std::chrono::seconds(2'000'000'000))};
  std::unique_ptr<Store> store_;
};

inline std::string kind_name(const ::testing::TestParamInfo<Kind>& info) { return info.param.name; }

}  // namespace drover::store
