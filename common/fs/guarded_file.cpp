#include "common/fs/guarded_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

namespace drover::fs {
namespace {

// Free while `end` is 0; `begin` is valid before `end` is set.
struct Slot {
  std::atomic<std::uintptr_t> begin{0}, end{0};
  std::atomic<bool> taken{false}, shrank{false};
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "a signal handler reads them");

std::array<Slot, kMaxGuarded> slots;
struct sigaction before {};
std::uintptr_t page = 4096;

// Zeros from the page of the fault to the end of the file. mmap is a plain system call on Linux, safe in a handler.
bool put_zeros(Slot& slot, std::uintptr_t at) {
  const std::uintptr_t end = slot.end.load();
  if (at < slot.begin.load() || at >= end) return false;
  const std::uintptr_t from = at / page * page, size = (end - from + page - 1) / page * page;
  void* const place = reinterpret_cast<void*>(from);
  if (mmap(place, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return false;
  slot.shrank.store(true);
  return true;
}

void on_bus_error(int, siginfo_t* info, void*) {
  const int kept = errno;
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  bool mended = false;
  if (info->si_code == BUS_ADRERR)
    for (Slot& slot : slots) mended = mended || put_zeros(slot, at);
  // Not ours: the instruction runs again, and whoever was responsible before gets it.
  if (!mended) sigaction(SIGBUS, &before, nullptr);
  errno = kept;
}

void install() {
  page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &before);
}

std::size_t take_slot(ByteView bytes) {
  static const bool kInstalled = (install(), true);
  static_cast<void>(kInstalled);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true)) continue;
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
    slots[i].shrank.store(false);
    slots[i].begin.store(begin);
    slots[i].end.store(begin + bytes.size());
    return i;
  }
  return kMaxGuarded;
}

}  // namespace

Result<GuardedFile> GuardedFile::open(const std::string& path) {
  GuardedFile guarded;
  TRY_ASSIGN(guarded.file_, MappedFile::open(path));
  guarded.path_ = path;
  guarded.slot_ = take_slot(guarded.bytes());
  if (guarded.slot_ == kNone) return Error(Code::unavailable, path + ": too many files are read at once");
  return guarded;
}

GuardedFile::GuardedFile(GuardedFile&& other) noexcept
    : file_(std::move(other.file_)), path_(std::move(other.path_)), slot_(std::exchange(other.slot_, kNone)) {}

GuardedFile& GuardedFile::operator=(GuardedFile&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(path_, other.path_);
  std::swap(slot_, other.slot_);
  return *this;
}

GuardedFile::~GuardedFile() {
  if (slot_ == kNone) return;
  slots[slot_].end.store(0);
  slots[slot_].taken.store(false);
}

Status GuardedFile::whole() const {
  if (slot_ == kNone || !slots[slot_].shrank.load()) return {};
  return Error(Code::io,
               path_ + " became shorter while it was read; nothing was made of it. Try again once nobody writes to it");
}

}  // namespace drover::fs
