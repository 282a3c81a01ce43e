// Names that somebody works on at the moment: one upload is written by one request at a time. Thread-safe.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace drover::api {

class Busy {
 public:
  // Holds a name until it ends; false when another one holds it.
  class Hold {
   public:
    Hold(Busy& owner, std::string name) : owner_(owner), name_(std::move(name)) {
      const std::lock_guard lock(owner_.mutex_);
      held_ = owner_.names_.insert(name_).second;
    }
    ~Hold() {
      if (!held_) return;
      const std::lock_guard lock(owner_.mutex_);
      owner_.names_.erase(name_);
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    explicit operator bool() const { return held_; }

   private:
    Busy& owner_;
    std::string name_;
    bool held_ = false;
  };

 private:
  std::mutex mutex_;
  std::set<std::string> names_;
};

}  // namespace drover::api
