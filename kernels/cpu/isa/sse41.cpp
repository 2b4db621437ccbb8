#include "kernels/cpu/isa/table.h"

const hearth::cpu::Loops& hearth::cpu::loops_sse41() {
  return loops;
}
