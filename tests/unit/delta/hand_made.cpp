#include "tests/unit/delta/hand_made.h"

#include <zstd.h>

#include <memory>

namespace drover::delta::testing {

Bytes Hand::frame_of(ByteView content, ByteView prefix) {
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  if (!prefix.empty()) ZSTD_CCtx_refPrefix(context.get(), prefix.data(), prefix.size());
  Bytes frame(ZSTD_compressBound(content.size()));
  frame.resize(ZSTD_compress2(context.get(), frame.data(), frame.size(), content.data(), content.size()));
  return frame;
}

}  // namespace drover::delta::testing
