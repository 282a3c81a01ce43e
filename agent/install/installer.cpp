#include "agent/install/installer.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "common/package/path_rules.h"

namespace drover::agent {
namespace {

constexpr std::string_view kTrash = "trash-";  // in staging/: a package on its way out

bool is_hex_name(std::string_view name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// The digits of a generation's name; 0 for anything else.
std::uint64_t generation_number(const std::string& name) {
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(name.data(), name.data() + name.size(), number);
  return fault == std::errc() && end == name.data() + name.size() ? number : 0;
}

std::vector<std::string> hex_names(std::span<const std::string> digests) {
  std::vector<std::string> names;
  for (const std::string& digest : digests) names.push_back(Layout::hex(digest));
  return names;
}

// "MemAvailable:   123 kB" in bytes; 0 when the system does not tell.
std::uint64_t available_memory(fs::Files& files) {
  const auto text = files.read("/proc/meminfo", 16 * 1024);
  if (!text) return 0;
  const std::size_t at = text->find("MemAvailable:");
  if (at == std::string::npos) return 0;
  const std::size_t digits = text->find_first_of("0123456789", at);
  std::uint64_t kib = 0;
  if (digits != std::string::npos) std::from_chars(text->data() + digits, text->data() + text->size(), kib);
  return kib * 1024;
}

}  // namespace

Status Installer::prepare() {
  for (const std::string& folder :
       {layout_.metadata(), layout_.blobs(), layout_.staging(), layout_.packages(), layout_.generations()})
    TRY(files_.make_folder(folder));
  TRY(files_.sync_folder(layout_.folder()));
  TRY_ASSIGN(const auto names, files_.list(layout_.staging()));
  for (const std::string& name : names) {
    const std::string path = layout_.staging() + "/" + name;
    TRY_ASSIGN(const fs::Info info, files_.info(path));
    if (info.kind != fs::Kind::folder) continue;  // a download
    TRY(make_writable(path, 0));
    TRY(fs::remove_tree(files_, path));
  }
  return {};
}

Status Installer::preflight(const package::Manifest& manifest, std::uint64_t memory_budget) {
  std::uint64_t needed = 0;
  std::set<std::string> counted;
  for (const package::File& file : manifest.files) {
    const std::string digest = file.digest.text();
    if (!counted.insert(digest).second || fs::exists(files_, layout_.blob(digest))) continue;
    const auto part = files_.info(layout_.part(digest));
    needed += file.size - std::min(file.size, part ? part->size : 0);
  }
  TRY_ASSIGN(const std::uint64_t free, files_.free_space(layout_.folder()));
  if (needed != 0 && free < needed + kDiskReserve)
    return Error(Code::preflight_disk, "needs " + std::to_string(needed) + " bytes and a reserve of " +
                                           std::to_string(kDiskReserve) + ", free are " + std::to_string(free));
  const std::uint64_t memory = available_memory(files_);
  if (memory != 0 && memory < memory_budget)
    return Error(Code::preflight_memory, "the model may take " + std::to_string(memory_budget) +
                                             " bytes of memory, available are " + std::to_string(memory));
  return {};
}

Status Installer::stage(const std::string& package, const package::Manifest& manifest) {
  const std::string target = layout_.package(package), fresh = layout_.staged_package(package);
  if (fs::exists(files_, target)) return {};
  if (fs::exists(files_, fresh)) TRY(make_writable(fresh, 0));
  TRY(fs::remove_tree(files_, fresh));
  TRY(stage_files(fresh, manifest));
  TRY(files_.rename(fresh, target));
  TRY(files_.set_mode(target, 0555));  // after the rename: moving a folder takes the right to write in it
  TRY(files_.sync_folder(layout_.packages()));
  return files_.sync_folder(layout_.staging());
}

Status Installer::stage_files(const std::string& folder, const package::Manifest& manifest) {
  package::PathSet paths;
  std::set<std::string> folders{folder};
  TRY(files_.make_folder(folder));
  for (const package::File& file : manifest.files) {
    TRY(paths.add(file.path));
    for (std::size_t slash = file.path.find('/'); slash != std::string::npos; slash = file.path.find('/', slash + 1)) {
      const std::string inner = folder + "/" + file.path.substr(0, slash);
      TRY(files_.make_folder(inner));
      folders.insert(inner);
    }
    TRY(files_.hard_link(layout_.blob(file.digest.text()), folder + "/" + file.path));
  }
  for (const std::string& made : folders) TRY(files_.sync_folder(made));
  for (const std::string& made : folders)
    if (made != folder) TRY(files_.set_mode(made, 0555));
  return {};
}

// Model to the link's text.
Result<std::map<std::string, std::string>> Installer::shown_links() {
  std::map<std::string, std::string> links;
  const auto target = files_.read_link(layout_.current());
  if (!target) {
    if (target.error().code() == Code::not_found) return links;
    return target.error();
  }
  const std::string generation = layout_.folder() + "/" + *target;
  TRY_ASSIGN(const auto models, files_.list(generation));
  for (const std::string& model : models) {
    TRY_ASSIGN(links[model], files_.read_link(generation + "/" + model));
  }
  return links;
}

Result<update::Links> Installer::shown() {
  TRY_ASSIGN(const auto texts, shown_links());
  update::Links links;
  for (const auto& [model, link] : texts) links[model] = "sha256:" + link.substr(link.rfind('/') + 1);
  return links;
}

Result<std::uint64_t> Installer::next_generation() {
  std::uint64_t highest = 0;
  TRY_ASSIGN(const auto names, files_.list(layout_.generations()));
  for (const std::string& name : names) highest = std::max(highest, generation_number(name));
  return highest + 1;
}

Status Installer::show(const update::Links& links, const Elsewhere& elsewhere) {
  std::map<std::string, std::string> wanted;
  for (const auto& [model, package] : links) {
    const auto other = elsewhere.find(package);
    wanted[model] = other == elsewhere.end() ? "../../packages/" + Layout::hex(package) : other->second;
  }
  const auto now = shown_links();
  if (now && *now == wanted) return {};
  for (const auto& [model, package] : links)
    if (!fs::exists(files_, layout_.package(package)))
      return Error(Code::activate_failed, "the package " + package + " of " + model + " is not on the disk");
  TRY_ASSIGN(const std::uint64_t number, next_generation());
  const std::string folder = layout_.generation(number);
  TRY(files_.make_folder(folder));
  for (const auto& [model, link] : wanted) TRY(files_.symlink(link, folder + "/" + model));
  TRY(files_.sync_folder(folder));
  TRY(files_.sync_folder(layout_.generations()));
  TRY(fs::flip_link(files_, "generations/" + std::to_string(number), layout_.current()));
  return collect_generations();
}

// An application may be on its way through the generation before: that one stays.
Status Installer::collect_generations() {
  TRY_ASSIGN(const std::string target, files_.read_link(layout_.current()));
  const std::uint64_t current = generation_number(target.substr(target.rfind('/') + 1));
  TRY_ASSIGN(const auto names, files_.list(layout_.generations()));
  for (const std::string& name : names) {
    const std::uint64_t number = generation_number(name);
    if (number + 1 >= current) continue;
    TRY(fs::remove_tree(files_, layout_.generations() + "/" + name));
  }
  return {};
}

Status Installer::collect(std::span<const std::string> kept, bool downloads) {
  const std::vector<std::string> kept_hex = hex_names(kept);
  TRY(collect_packages(kept_hex).within("collecting packages"));
  TRY(collect_blobs(kept_hex).within("collecting blobs"));
  if (!downloads) return {};
  TRY_ASSIGN(const auto names, files_.list(layout_.staging()));
  for (const std::string& name : names)
    for (const std::string_view ending : {".part", ".journal", ".delta", ".applied", ".between"})
      if (name.ends_with(ending)) TRY(files_.remove(layout_.staging() + "/" + name));
  return {};
}

Status Installer::collect_packages(std::span<const std::string> kept_hex) {
  TRY_ASSIGN(const update::Links links, shown());
  TRY_ASSIGN(const auto names, files_.list(layout_.packages()));
  for (const std::string& name : names) {
    if (std::find(kept_hex.begin(), kept_hex.end(), name) != kept_hex.end() || !is_hex_name(name)) continue;
    const auto is_shown = [&](const auto& link) { return Layout::hex(link.second) == name; };
    if (std::any_of(links.begin(), links.end(), is_shown)) continue;
    TRY_ASSIGN(const bool open, in_use(layout_.packages() + "/" + name, 0));
    if (!open) TRY(discard(layout_.packages() + "/" + name, name));
  }
  return {};
}

// A package that is there is complete: it loses its name, durably, before it loses a file.
Status Installer::discard(const std::string& package_folder, const std::string& hex) {
  const std::string trash = layout_.staging() + "/" + std::string(kTrash) + hex;
  TRY(files_.set_mode(package_folder, 0755));
  TRY(files_.rename(package_folder, trash));
  TRY(files_.sync_folder(layout_.packages()));
  TRY(files_.sync_folder(layout_.staging()));
  TRY(make_writable(trash, 0));
  return fs::remove_tree(files_, trash);
}

Status Installer::collect_blobs(std::span<const std::string> kept_hex) {
  TRY_ASSIGN(const auto names, files_.list(layout_.blobs()));
  for (const std::string& name : names) {
    if (std::find(kept_hex.begin(), kept_hex.end(), name) != kept_hex.end()) continue;
    const std::string path = layout_.blobs() + "/" + name;
    TRY_ASSIGN(const fs::Info info, files_.info(path));
    if (info.links <= 1) TRY(files_.remove(path));
  }
  return {};
}

Status Installer::make_writable(const std::string& folder, int depth) {
  if (depth > fs::kMaxTreeDepth) return Error(Code::too_large, folder + " is too deep");
  TRY(files_.set_mode(folder, 0755));
  TRY_ASSIGN(const auto names, files_.list(folder));
  for (const std::string& name : names) {
    TRY_ASSIGN(const fs::Info info, files_.info(folder + "/" + name));
    if (info.kind == fs::Kind::folder) TRY(make_writable(folder + "/" + name, depth + 1));
  }
  return {};
}

Result<bool> Installer::in_use(const std::string& folder, int depth) {
  if (depth > fs::kMaxTreeDepth) return Error(Code::too_large, folder + " is too deep");
  TRY_ASSIGN(const auto names, files_.list(folder));
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    TRY_ASSIGN(const fs::Info info, files_.info(path));
    bool used = false;
    if (info.kind == fs::Kind::folder) {
      TRY_ASSIGN(used, in_use(path, depth + 1));
    } else if (info.kind == fs::Kind::file) {
      TRY_ASSIGN(used, files_.in_use(path));
    }
    if (used) return true;
  }
  return false;
}

}  // namespace drover::agent
