// A device without network and applications: the life-cycle's table, the real downloads, the real installer, and a
// store that is either in memory (atomic and durable, as SQLite promises to be) or SQLite itself. For tests that end
// its life at every change that it makes to its disk.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/install/installer.h"
#include "agent/store/store.h"
#include "agent/update/lifecycle.h"
#include "agent/update/plan.h"
#include "common/fs/files.h"
#include "common/package/manifest.h"
#include "common/time/clock.h"

namespace drover::agent::test {

// The part of the store that an installation needs.
class Ledger {
 public:
  virtual ~Ledger() = default;
  virtual const update::State& state() = 0;
  virtual std::vector<update::Slot> slots() = 0;
  virtual Status apply(const update::Decision& decision) = 0;
};

class MemoryLedger final : public Ledger {
 public:
  const update::State& state() override { return state_; }
  std::vector<update::Slot> slots() override { return {slot_}; }
  Status apply(const update::Decision& decision) override;

 private:
  update::State state_;
  update::Slot slot_{.model = "digits", .current = {}, .previous = {}, .floor = 0, .last_deployment = ""};
};

class StoreLedger final : public Ledger {
 public:
  explicit StoreLedger(std::unique_ptr<Store> store) : store_(std::move(store)) {}
  const update::State& state() override { return store_->state(); }
  std::vector<update::Slot> slots() override { return store_->slots(); }
  Status apply(const update::Decision& decision) override { return store_->apply(decision, WallTime{}); }

 private:
  std::unique_ptr<Store> store_;
};

struct Release {
  std::string version;
  std::map<std::string, std::string> files;
  package::Manifest manifest;
  std::string package;
  update::Target target;
};
Release make_release(const std::string& version);

class Device {
 public:
  Device(fs::Files& files, Ledger& ledger, const std::string& folder)
      : files_(files), ledger_(ledger), layout_(folder), installer_(files, layout_) {}

  // As the agent does when it comes up: nothing else before it.
  Status recover();
  // One deployment to its end. `healthy`: what the application will say.
  Status deploy(const Release& release, bool healthy);

 private:
  update::Event run(const Release& release, bool healthy);
  Status fetch(const Release& release);

  fs::Files& files_;
  Ledger& ledger_;
  Layout layout_;
  Installer installer_;
  ManualClock clock_{WallTime{}};
};

// What an application sees at this moment: the version, "" for nothing. io when it is not complete, byte for byte.
Result<std::string> look(fs::Files& files, const std::string& folder, const std::vector<Release>& releases);
// Every package on the disk is complete.
Status check_packages(fs::Files& files, const std::string& folder, const std::vector<Release>& releases);

}  // namespace drover::agent::test
