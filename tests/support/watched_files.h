// A file system that calls before each change: to count, to fail, to die there.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/fs/files.h"

namespace drover::test {

class WatchedFiles final : public fs::Files {
 public:
  // An error is what the caller of the change gets; the change is then not made.
  using Hook = std::function<Status(const std::string& change, const std::string& path)>;
  WatchedFiles(fs::Files& inner, Hook hook) : inner_(inner), hook_(std::move(hook)) {}

  Result<fs::Info> info(const std::string& path) override { return inner_.info(path); }
  Result<std::vector<std::string>> list(const std::string& folder) override { return inner_.list(folder); }
  Result<std::string> read(const std::string& path, std::size_t limit) override { return inner_.read(path, limit); }
  Result<std::string> read_link(const std::string& path) override { return inner_.read_link(path); }
  Result<std::unique_ptr<fs::Reader>> open(const std::string& path, fs::Cache cache) override {
    return inner_.open(path, cache);
  }
  Result<std::unique_ptr<fs::Appender>> append(const std::string& path, std::uint64_t keep) override {
    TRY(hook_("open", path));
    TRY_ASSIGN(std::unique_ptr<fs::Appender> file, inner_.append(path, keep));
    return std::unique_ptr<fs::Appender>(new Watched(std::move(file), hook_, path));
  }
  Status make_folder(const std::string& path) override {
    TRY(hook_("make_folder", path));
    return inner_.make_folder(path);
  }
  Status rename(const std::string& from, const std::string& to) override {
    TRY(hook_("rename", to));
    return inner_.rename(from, to);
  }
  Status hard_link(const std::string& from, const std::string& to) override {
    TRY(hook_("hard_link", to));
    return inner_.hard_link(from, to);
  }
  Status symlink(const std::string& target, const std::string& path) override {
    TRY(hook_("symlink", path));
    return inner_.symlink(target, path);
  }
  Status remove(const std::string& path) override {
    TRY(hook_("remove", path));
    return inner_.remove(path);
  }
  Status set_mode(const std::string& path, std::uint32_t mode) override {
    TRY(hook_("set_mode", path));
    return inner_.set_mode(path, mode);
  }
  Status sync_folder(const std::string& path) override {
    TRY(hook_("sync_folder", path));
    return inner_.sync_folder(path);
  }
  Result<std::uint64_t> free_space(const std::string& path) override {
    return free ? Result<std::uint64_t>(*free) : inner_.free_space(path);
  }
  Result<std::string> boot_id() override { return inner_.boot_id(); }
  Result<std::unique_ptr<fs::Lock>> lock(const std::string& path) override { return inner_.lock(path); }
  Result<bool> in_use(const std::string& file) override { return inner_.in_use(file); }

 private:
  class Watched final : public fs::Appender {
   public:
    Watched(std::unique_ptr<fs::Appender> inner, Hook hook, std::string path)
        : inner_(std::move(inner)), hook_(std::move(hook)), path_(std::move(path)) {}
    Status append(std::string_view bytes) override {
      TRY(hook_("write", path_));
      return inner_->append(bytes);
    }
    Status sync() override {
      TRY(hook_("sync", path_));
      return inner_->sync();
    }
    std::uint64_t size() const override { return inner_->size(); }

   private:
    std::unique_ptr<fs::Appender> inner_;
    Hook hook_;
    std::string path_;
  };

  fs::Files& inner_;
  Hook hook_;

 public:
  std::optional<std::uint64_t> free;  // bytes that are said to be; nothing: those of the disk
};

}  // namespace drover::test
