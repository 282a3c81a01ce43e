// What a server's way from here to a wanted file must be like before a byte of it is fetched. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/fetch/wanted.h"
#include "common/base/result.h"
#include "proto/wire/deltas.h"

namespace drover::agent {

// A file that a delta may start from: of a package, or made in the middle of a chain.
struct Held {
  std::string digest;  // "sha256:<hex>"
  std::string file;
  std::uint64_t size = 0;
  std::uint64_t paid = 0;  // bytes of deltas that it has cost; 0 for a package's
  bool between = false;
  bool packed = false;  // it comes from nothing: what it leads to saves no more than packing does
};

// What every device holds, and a packed file starts from: a file without bytes.
Held nothing_held();

// "<hex>.<paid>.between" in `folder`; nothing for another name.
std::optional<Held> parse_between(const std::string& folder, std::string_view name);

// The request for the smallest way on a disk with so much room; `held` at most wire::kMaxHeldFiles.
std::string plan_target(const Wanted& wanted, std::span<const Held> held, std::uint64_t room);
std::string step_target(const wire::DeltaStep& step);

// delta_missing, with a sentence, for no steps, and for any that are not: from a held file to the wanted one without a
// gap, of versions that are decoded here, each intermediate file bounded (wire::kMaxBetween), fewer bytes than the
// file.
Status check_plan(const wire::DeltaPlan& plan, const Wanted& wanted, std::span<const Held> held);

// A packed file is a transfer of the whole file: nothing that is here is used. So a link on which files with an earlier
// version may come as deltas alone (`whole_files` false) carries none of those.
bool may_come_packed(const Wanted& wanted, bool whole_files);

// The most bytes that its files take on the disk at once, beside what is there before.
std::uint64_t room_for(const wire::DeltaPlan& plan);

}  // namespace drover::agent
