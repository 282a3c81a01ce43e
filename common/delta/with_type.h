// From an element type to the class that knows its numbers. Internal to the codec.
#pragma once

#include "common/delta/element.h"

namespace drover::delta {

template <class Use>
auto with_type(ElementType type, Use use) {
  switch (type) {
    case ElementType::f32:
      return use(F32{});
    case ElementType::f16:
      return use(F16{});
    case ElementType::bf16:
      return use(Bf16{});
    case ElementType::i8:
      break;
  }
  return use(I8{});
}

}  // namespace drover::delta
