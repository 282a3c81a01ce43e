// A decoder's tables for the slots of elements, kept from tensor to tensor: a context that the delta says nothing about
// gets its default when it is first used. Pure.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "common/delta/rans.h"
#include "common/delta/tensor_model.h"

namespace drover::delta {

class SlotTables {
 public:
  SlotTables();
  // For a tensor: the contexts that `own` uses, all others by default.
  void begin(std::size_t shape, const Model& own);
  // The tables of `slots`, as many.
  void find(std::span<const std::int32_t> slots, const RansTable** out) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto slot = static_cast<std::size_t>(slots[i]);
      const RansTable* table = by_slot_[slot];
      out[i] = table != nullptr ? table : make_default(slot);
    }
  }

 private:
  enum class Holds : std::uint8_t { nothing, the_default, own };
  struct Context {
    std::unique_ptr<RansTable> table;
    Holds holds = Holds::nothing;
  };
  const RansTable* make_default(std::size_t slot);
  RansTable& table_of(std::size_t context);
  std::size_t shape_ = 0;
  std::vector<Context> contexts_;
  std::array<const RansTable*, kSlots> by_slot_{};
};

}  // namespace drover::delta
