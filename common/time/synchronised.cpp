#include "common/time/synchronised.h"

#include <sys/timex.h>

namespace drover {

bool clock_is_synchronised() {
  timex state{};  // no mode: nothing is changed, and no right is needed
  const int answer = ::adjtimex(&state);
  return answer >= 0 && answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

}  // namespace drover
