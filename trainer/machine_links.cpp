// What moves between devices, and how long it takes.
#include <algorithm>

#include "trainer/machine.h"

namespace hearth {

namespace {

/// Of `ranks` ranks that lie `stride` apart, how many are in one node.
int in_a_node(const Machine& machine, int ranks, int stride) {
  return std::max(1, std::min(ranks, machine.node / stride));
}

/// Every rank gives `bytes` to all, round a ring. A node takes in what ranks outside give once, over the links of its
/// members.
double collective(const Machine& machine, double bytes, int ranks, int stride, double inside, double across) {
  if (ranks == 1) return 0;
  const int here = in_a_node(machine, ranks, stride);
  double seconds = (ranks - 1) * bytes / inside;
  double latency = (here - 1) * machine.inside.latency;
  if (ranks > here) {
    seconds = std::max(here > 1 ? seconds : 0, (ranks - here) * bytes / (here * across));
    latency += (static_cast<double>(ranks) / here - 1) * machine.across.latency;
  }
  return seconds + latency;
}

}  // namespace

double gather_seconds(const Machine& machine, double bytes, int ranks, int stride) {
  return collective(machine, bytes, ranks, stride, machine.inside.gather, machine.across.gather);
}

double reduce_seconds(const Machine& machine, double bytes, int ranks, int stride) {
  return collective(machine, bytes, ranks, stride, machine.inside.reduce, machine.across.reduce);
}

double message_seconds(const Machine& machine, double bytes, int stride) {
  const Machine::Link& link = stride < machine.node ? machine.inside : machine.across;
  return link.latency + bytes / link.gather;
}

}  // namespace hearth
