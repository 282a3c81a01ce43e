// Does the kernel believe the machine's clock? It does after NTP (or PTP) has set it, and for as long as it is kept
// right.
#pragma once

namespace drover {

bool clock_is_synchronised();

}  // namespace drover
