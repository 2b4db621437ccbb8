#include "kernels/cpu/isa/table.h"

const hearth::cpu::Loops& hearth::cpu::loops_avx2() {
  return loops;
}
