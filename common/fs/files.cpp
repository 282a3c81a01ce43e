#include "common/fs/files.h"

namespace drover::fs {
namespace {

Status remove_tree_below(Files& files, const std::string& path, int depth) {
  if (depth > kMaxTreeDepth) return Error(Code::too_large, path + " is too deep");
  const Result<Info> info = files.info(path);
  if (!info) return info.error().code() == Code::not_found ? Status() : Status(info.error());
  if (info->kind == Kind::folder) {
    TRY_ASSIGN(const std::vector<std::string> names, files.list(path));
    for (const std::string& name : names) TRY(remove_tree_below(files, path + "/" + name, depth + 1));
  }
  return files.remove(path);
}

}  // namespace

bool exists(Files& files, const std::string& path) { return files.info(path).has_value(); }

Status write_atomic(Files& files, const std::string& path, std::string_view bytes, std::uint32_t mode) {
  const std::string fresh = path + ".tmp";
  TRY(files.remove(fresh));
  {
    TRY_ASSIGN(const std::unique_ptr<Appender> file, files.append(fresh, 0));
    TRY(file->append(bytes));
    TRY(files.set_mode(fresh, mode));
    TRY(file->sync());
  }
  TRY(files.rename(fresh, path));
  return files.sync_folder(parent(path));
}

Status flip_link(Files& files, const std::string& target, const std::string& path) {
  const std::string fresh = path + ".tmp";
  TRY(files.remove(fresh));  // left behind by a crash between the two lines below
  TRY(files.symlink(target, fresh));
  TRY(files.rename(fresh, path));
  return files.sync_folder(parent(path));
}

Status remove_tree(Files& files, const std::string& path) { return remove_tree_below(files, path, 0); }

std::string parent(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace drover::fs
