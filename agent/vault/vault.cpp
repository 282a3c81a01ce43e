#include "agent/vault/vault.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

namespace drover::agent {

namespace asio = boost::asio;
using package::PlainPlace;

namespace {

constexpr std::string_view kNew = ".new";  // behind a folder's name: half of a package
constexpr std::size_t kMaxProc = 16 * 1024;


// With the folders above it, below `root`.
Status make_folders(fs::Files& files, const std::string& root, const std::string& path) {
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
    TRY(files.make_folder(root + "/" + path.substr(0, slash)));
  return {};
}

std::uint64_t available_memory(fs::Files& files) {
  const auto text = files.read("/proc/meminfo", kMaxProc);
  const std::size_t at = text ? text->find("MemAvailable:") : std::string::npos;
  if (at == std::string::npos) return UINT64_MAX;
  const std::size_t digits = text->find_first_of("0123456789", at);
  std::uint64_t kib = 0;
  if (digits != std::string::npos) std::from_chars(text->data() + digits, text->data() + text->size(), kib);
  return kib * 1024;
}

Error too_little(std::uint64_t needed, std::uint64_t free, const std::string& where) {
  return {Code::preflight_memory, "the package takes " + std::to_string(needed) + " bytes in the clear, " + where +
                                      " has " + std::to_string(free)};
}

}  // namespace

// A file in a folder that lies in memory.
class Vault::TmpfsPlace final : public PlainFile {
 public:
  TmpfsPlace(fs::Files& files, std::string path, std::unique_ptr<fs::Appender> out)
      : files_(files), path_(std::move(path)), out_(std::move(out)) {}
  Status append(ByteView bytes) override { return out_->append(as_text(bytes)); }
  Status finish() override { return files_.set_mode(path_, 0440); }

 private:
  fs::Files& files_;
  std::string path_;
  std::unique_ptr<fs::Appender> out_;
};

// A file in this process' memory, and the link that leads to it.
class Vault::MemoryPlace final : public PlainFile {
 public:
  MemoryPlace(fs::Files& files, std::string link, fs::MemoryFile memory, std::vector<fs::MemoryFile>& kept)
      : files_(files), link_(std::move(link)), memory_(std::move(memory)), kept_(kept) {}
  Status append(ByteView bytes) override { return memory_.append(bytes); }
  Status finish() override {
    TRY(memory_.seal());
    TRY(files_.symlink(memory_.path(), link_));
    kept_.push_back(std::move(memory_));
    return {};
  }

 private:
  fs::Files& files_;
  std::string link_;
  fs::MemoryFile memory_;
  std::vector<fs::MemoryFile>& kept_;
};

Vault::Vault(fs::Files& files, Layout layout, Options options, Rng& rng)
    : files_(files),
      layout_(std::move(layout)),
      options_(std::move(options)),
      rng_(rng),
      box_key_file_(options_.box_key.empty() ? layout_.box_key() : options_.box_key) {}

Vault::~Vault() = default;

Status Vault::prepare() {
  TRY(files_.make_folder(layout_.sealed_keys()));
  // Links into a process that is gone: its number may be another's by now.
  TRY(fs::remove_tree(files_, layout_.opened()));
  TRY(files_.make_folder(layout_.opened()));
  if (!fs::exists(files_, box_key_file_)) {
    // By way of another name: a power cut in the middle must not leave half a key.
    const std::string fresh = box_key_file_ + std::string(kNew);
    TRY(files_.remove(fresh));
    TRY(crypto::BoxKey::generate(rng_).save(fresh).within("making the device's decryption key"));
    TRY(files_.rename(fresh, box_key_file_));
    TRY(files_.sync_folder(fs::parent(box_key_file_)));
  }
  TRY_ASSIGN(const crypto::BoxKey key, crypto::BoxKey::load(box_key_file_));
  box_public_ = key.public_key();
  const auto names = files_.list(options_.plain_folder);
  if (!names) return {};  // nothing confidential was opened yet
  for (const std::string& name : *names)
    if (name.ends_with(kNew)) TRY(remove_opened(options_.plain_folder + "/" + name));
  return {};
}

// --- keys ------------------------------------------------------------------------------------------------------------

namespace {

Result<crypto::ContentKey> open_key(ByteView sealed, const std::string& package, const package::Manifest& manifest,
                                    const std::string& box_key_file) {
  TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(package));
  TRY_ASSIGN(const crypto::BoxKey box, crypto::BoxKey::load(box_key_file));
  TRY_ASSIGN(crypto::ContentKey key, crypto::open_content_key(sealed, digest, box));
  TRY(crypto::check_content_key(key, manifest.content_key));
  return key;
}

}  // namespace

Result<crypto::ContentKey> Vault::key(const std::string& package, const package::Manifest& manifest) {
  const auto sealed = files_.read(layout_.sealed_key(package), crypto::kSealedKeySize);
  if (!sealed && sealed.error().code() == Code::not_found)
    return Error(Code::pending, "this device has no content key for the package " + package);
  if (!sealed) return sealed.error();
  return open_key(as_bytes(*sealed), package, manifest, box_key_file_);
}

Status Vault::keep_key(const std::string& package, const package::Manifest& manifest, ByteView sealed) {
  TRY(open_key(sealed, package, manifest, box_key_file_));
  return fs::write_atomic(files_, layout_.sealed_key(package), as_text(sealed), 0600);
}

Status Vault::forget_others(std::span<const std::string> kept) {
  TRY_ASSIGN(const auto names, files_.list(layout_.sealed_keys()));
  for (const std::string& name : names) {
    const auto is_kept = [&](const std::string& package) { return Layout::hex(package) == name; };
    if (std::ranges::none_of(kept, is_kept)) TRY(files_.remove(layout_.sealed_keys() + "/" + name));
  }
  return {};
}

// --- plain text ------------------------------------------------------------------------------------------------------

Status Vault::check_swap() {
  if (options_.allow_swap) return {};
  const auto text = files_.read("/proc/swaps", kMaxProc);
  const std::string disk = text ? fs::disk_swap(*text) : "";
  if (disk.empty()) return {};
  return Error(Code::preflight_policy, "the package is confidential, and this machine swaps memory to " + disk +
                                           "; turn that off, or set allow_swap when it is encrypted");
}

Status Vault::make_plain_folder() {
  const std::string above = fs::parent(options_.plain_folder);
  TRY(files_.make_folder(above));
  TRY_ASSIGN(const bool in_memory, fs::is_memory_folder(above));
  if (!in_memory)
    return Error(Code::preflight_policy, "the package is confidential, and " + above + " is on a disk; set plain_folder "
                                         "to a folder in a tmpfs");
  TRY(files_.make_folder(options_.plain_folder));
  return files_.set_mode(options_.plain_folder, 0750);
}

Status Vault::preflight(const Confidential& what) {
  if (is_open(what)) return {};
  TRY(check_swap());
  const std::uint64_t needed = what.manifest.content_bytes();
  if (what.place == PlainPlace::tmpfs) {
    TRY(make_plain_folder());
    TRY_ASSIGN(const std::uint64_t room, files_.free_space(options_.plain_folder));
    if (room < needed) return too_little(needed, room, options_.plain_folder);
  }
  const std::uint64_t memory = available_memory(files_);
  return memory < needed ? Status(too_little(needed, memory, "memory")) : Status();
}

std::string Vault::folder(const Confidential& what) const {
  return what.place == PlainPlace::tmpfs ? options_.plain_folder + "/" + Layout::hex(what.package)
                                         : layout_.opened(what.package);
}

std::string Vault::staging(const Confidential& what) const { return folder(what) + std::string(kNew); }

bool Vault::is_open(const Confidential& what) const { return fs::exists(files_, folder(what)); }

std::string Vault::plain_file(const std::string& package, const std::string& path) const {
  for (const std::string& folder : {options_.plain_folder + "/" + Layout::hex(package), layout_.opened(package)})
    if (fs::exists(files_, folder)) return folder + "/" + path;
  return "";
}

Result<std::unique_ptr<Opening>> Vault::begin(const Confidential& what) {
  TRY(preflight(what));
  TRY_ASSIGN(crypto::ContentKey key, this->key(what.package, what.manifest));
  const std::string fresh = staging(what);
  TRY(remove_opened(fresh));
  TRY(files_.make_folder(fresh));
  std::vector<fs::MemoryFile>& memory = memory_[Layout::hex(what.package)];
  memory.clear();
  MakePlainFile make = [this, fresh, place = what.place,
                        &memory](const package::File& file) -> Result<std::unique_ptr<PlainFile>> {
    TRY(make_folders(files_, fresh, file.path));
    const std::string path = fresh + "/" + file.path;
    if (place == PlainPlace::memfd) {
      TRY_ASSIGN(fs::MemoryFile in_memory, fs::MemoryFile::create("drover-plain"));
      return std::unique_ptr<PlainFile>(std::make_unique<MemoryPlace>(files_, path, std::move(in_memory), memory));
    }
    TRY_ASSIGN(std::unique_ptr<fs::Appender> out, files_.append(path, 0));
    return std::unique_ptr<PlainFile>(std::make_unique<TmpfsPlace>(files_, path, std::move(out)));
  };
  return std::make_unique<Opening>(files_, layout_.package(what.package), what.manifest, std::move(key),
                                   std::move(make));
}

Status Vault::finish(const Confidential& what) { return files_.rename(staging(what), folder(what)); }

void Vault::give_up(const Confidential& what) {
  // What cannot be removed now is removed at the next try, or the next start.
  (void)remove_opened(staging(what));
  memory_.erase(Layout::hex(what.package));
}

Status Vault::open_now(const Confidential& what) {
  if (is_open(what)) return {};
  TRY_ASSIGN(const std::unique_ptr<Opening> opening, begin(what));
  for (;;) {
    const Result<bool> done = opening->step();
    if (done && !*done) continue;
    Status status = done ? finish(what) : Status(done.error());
    if (!status) give_up(what);
    return status;
  }
}

asio::awaitable<Status> Vault::open(Confidential what, std::function<bool()> stop) {
  if (is_open(what)) co_return Status();
  const auto executor = co_await asio::this_coro::executor;
  CO_TRY_ASSIGN(const std::unique_ptr<Opening> opening, begin(what));
  Status status;
  for (;;) {
    const Result<bool> done = opening->step();
    if (!done) status = done.error();
    if (status && stop && stop()) status = Error(Code::cancelled, "stopped while opening a package");
    if (!status || *done) break;
    co_await asio::post(executor, asio::use_awaitable);
  }
  if (status) status = finish(what);
  if (!status) give_up(what);
  co_return std::move(status);
}

Status Vault::remove_opened(const std::string& folder) {
  return fs::exists(files_, folder) ? fs::remove_tree(files_, folder) : Status();
}

Status Vault::close_others(std::span<const std::string> kept) {
  const auto is_kept = [&](const std::string& hex) {
    return std::ranges::any_of(kept, [&](const std::string& package) { return Layout::hex(package) == hex; });
  };
  for (const std::string& place : {options_.plain_folder, layout_.opened()}) {
    const auto names = files_.list(place);
    if (!names) continue;
    for (const std::string& name : *names)
      if (!is_kept(name)) TRY(remove_opened(place + "/" + name));
  }
  std::erase_if(memory_, [&](const auto& one) { return !is_kept(one.first); });
  return {};
}

}  // namespace drover::agent
