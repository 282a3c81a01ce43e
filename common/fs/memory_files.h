// A file system in memory that can lose its power. For tests and simulation.
//
// It keeps two pictures: what processes see, and what the disk surely holds. power_cut() goes on with what the disk
// holds; of what was not synced each change survives or not as the seed says, names and bytes apart from each other,
// and bytes that were not synced may come back as zeros. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/fs/files.h"
#include "common/rng/rng.h"

namespace drover::fs {

class MemoryFiles final : public Files {
 public:
  MemoryFiles();
  ~MemoryFiles() override;

  // Everything not synced is lost.
  void power_cut();
  // Everything not synced is lost or kept at random: one seed, one outcome.
  void power_cut(std::uint64_t seed);
  void set_free_space(std::uint64_t bytes) { free_ = bytes; }
  // Turns one byte of a file over, on the disk too, as a rotting disk does. False when there is no such byte.
  bool corrupt(const std::string& path, std::uint64_t offset);

  Result<Info> info(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& folder) override;
  Result<std::string> read(const std::string& path, std::size_t limit) override;
  Result<std::string> read_link(const std::string& path) override;
  Result<std::unique_ptr<Reader>> open(const std::string& path, Cache cache) override;
  Result<std::unique_ptr<Appender>> append(const std::string& path, std::uint64_t keep) override;
  Status make_folder(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status hard_link(const std::string& from, const std::string& to) override;
  Status symlink(const std::string& target, const std::string& path) override;
  Status remove(const std::string& path) override;
  Status set_mode(const std::string& path, std::uint32_t mode) override;
  Status sync_folder(const std::string& path) override;
  Result<std::uint64_t> free_space(const std::string& path) override;
  Result<std::string> boot_id() override;
  Result<std::unique_ptr<Lock>> lock(const std::string& path) override;
  Result<bool> in_use(const std::string& file) override;

 private:
  struct Node;
  class MemoryAppender;
  class MemoryReader;
  class MemoryLock;
  using NodePtr = std::shared_ptr<Node>;
  struct Place {  // a name in a folder; node is null when nothing has the name
    NodePtr folder;
    std::string name;
    NodePtr node;
  };

  Result<Place> walk(const std::string& path, int links_followed = 0);
  Result<Place> find(const std::string& path);
  Status add(const std::string& path, NodePtr node);
  void cut(Node& folder, Rng* rng);
  void one_name_each(Rng* rng);

  NodePtr root_;
  std::uint64_t free_ = UINT64_MAX / 2;
  int boots_ = 1;
  std::map<std::string, std::weak_ptr<int>> locks_;
};

}  // namespace drover::fs
