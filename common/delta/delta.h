// Deltas between two versions of a model file: small on the wire, exact to the bit, applied with little memory.
//
// make_delta runs on a server and may hold both files; apply_delta runs on a device: it reads the delta once from front
// to back, the base in place (mapped), writes the target once, and allocates at most 4 MiB whatever the sizes (and a
// window of at most 8 MiB for a stretch, where the sink has no place). Format: docs/formats/delta.md. A delta is not
// trusted: what it makes counts only if its digest is the signed one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/delta/format.h"
#include "common/delta/stream.h"

namespace drover::delta {

struct DeltaHeader {
  std::uint64_t base_size = 0, target_size = 0;
  crypto::Digest base, target;
};

// What became of one range of the target.
struct DeltaPart {
  SegmentKind kind = SegmentKind::raw;
  std::string name;          // of the tensor, when the encoder knew it
  std::uint64_t offset = 0;  // in the target
  std::uint64_t plain = 0;   // bytes in the target
  std::uint64_t coded = 0;   // bytes in the delta
  // Of a copy or a tensor: where its counterpart begins in the base.
  std::optional<std::uint64_t> base = std::nullopt;
  ElementType type = ElementType::i8;  // of a tensor
  std::uint64_t rows = 0, columns = 0;
  TensorMode mode = TensorMode::alone;
  std::size_t rank = 0;
};

using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;  // bytes of the target

// `base` may be empty: then the delta is a compressed form of the target alone. The parts, in order.
Result<std::vector<DeltaPart>> make_delta(ByteView base, ByteView target, ByteSink& out, const Progress& progress = {});

struct ApplyLimits {
  std::uint64_t max_target = UINT64_MAX;       // as the signed manifest says
  std::optional<crypto::Digest> base, target;  // when known: refused at once if the header names others
};
// malformed for what no encoder writes; digest_mismatch for another base or a wrong result; too_large; what the sink
// gives. `base` may be empty only for a delta without one. On an error what was written is to be thrown away.
Status apply_delta(ByteSource& delta, ByteView base, const ApplyLimits& limits, ByteSink& out,
                   const Progress& progress = {});

Result<DeltaHeader> read_header(NumberReader& in);
// The header and the parts, without a base and without decoding.
struct DeltaContents {
  DeltaHeader header;
  std::vector<DeltaPart> parts;
};
Result<DeltaContents> inspect_delta(ByteSource& delta);

}  // namespace drover::delta
