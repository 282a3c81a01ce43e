#include "common/delta/tables.h"

#include "common/delta/distribution.h"

namespace drover::delta {

SlotTables::SlotTables() : contexts_(kDifferenceContexts) {}

RansTable& SlotTables::table_of(std::size_t context) {
  auto& table = contexts_[context].table;
  if (!table) table = std::make_unique<RansTable>();
  return *table;
}

void SlotTables::begin(std::size_t shape, const Model& own) {
  for (std::size_t c = 0; c < contexts_.size(); ++c) {
    Context& context = contexts_[c];
    if (own.used(c)) {
      table_of(c).fill(own.of(c));
      context.holds = Holds::own;
    } else if (context.holds == Holds::own || shape != shape_) {
      context.holds = Holds::nothing;
    }
  }
  shape_ = shape;
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const Context& context = contexts_[kSlotContexts[slot]];
    by_slot_[slot] = context.holds == Holds::nothing ? nullptr : context.table.get();
  }
}

const RansTable* SlotTables::make_default(std::size_t slot) {
  const std::size_t c = kSlotContexts[slot];
  Context& context = contexts_[c];
  if (context.holds == Holds::nothing) {
    table_of(c).fill(default_frequencies(shape_, c));
    context.holds = Holds::the_default;
  }
  by_slot_[slot] = context.table.get();
  return by_slot_[slot];
}

}  // namespace drover::delta
