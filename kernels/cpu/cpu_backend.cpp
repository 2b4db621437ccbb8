#include <oneapi/dnnl/dnnl.h>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_ops.h"

namespace hearth {

namespace cpu {

CpuOps::CpuOps(const CpuOptions& options, const Loops& loops, Memory& memory)
    : team_(options.threads),
      loops_(loops),
      products_(team_, loops, memory, options.bf16_products),
      workspace_(memory),
      ranges_(memory) {}

namespace {

Isa best_isa() {
  if (__builtin_cpu_supports("x86-64-v4")) return Isa::avx512;
  if (__builtin_cpu_supports("x86-64-v3")) return Isa::avx2;
  return Isa::sse41;
}

const char* name_of(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "sse41";
}

Isa resolve(Isa wanted) {
  const Isa best = best_isa();
  if (wanted == Isa::best) return best;
  if (wanted > best) {
    fail(Kind::machine, "this processor has no {} instructions; the widest it has are {}", name_of(wanted),
         name_of(best));
  }
  return wanted;
}

const Loops& loops_of(Isa isa) {
  return isa == Isa::avx512 ? loops_avx512() : isa == Isa::avx2 ? loops_avx2() : loops_sse41();
}

CpuOptions checked(CpuOptions options) {
  if (options.threads < 1) fail(Kind::usage, "threads: {} is no number of threads; use 1 or more", options.threads);
  options.isa = resolve(options.isa);
  if (options.bf16_products == Bf16Products::native && !native_bf16_products()) {
    fail(Kind::machine,
         "native bf16 products are wanted, by bf16_products or by the run that goes on, and they need AVX512-BF16, "
         "which "
         "this processor (or ONEDNN_MAX_CPU_ISA) does not give; use one that does, or bf16_products: widened, which "
         "gives "
         "other bits");
  }
  return options;
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : options_(checked(options)),
        memory_(options.memory != nullptr ? options.memory : std::make_shared<HostMemory>()),
        ops_(options_, loops_of(options_.isa), *memory_) {}
  Memory& memory() override { return *memory_; }
  Ops& ops() override { return ops_; }
  std::size_t workspace_bytes(const Workload& work) override { return ops_.workspace_bytes(work); }
  std::string description() const override {
    const dnnl_version_t* version = dnnl_version();
    return fmt::format("cpu, {} thread{}, {}, oneDNN {}.{}.{}, bf16 products {}", options_.threads,
                       options_.threads == 1 ? "" : "s", name_of(options_.isa), version->major, version->minor,
                       version->patch, name_of(options_.bf16_products));
  }

 private:
  CpuOptions options_;
  std::shared_ptr<Memory> memory_;
  CpuOps ops_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

bool has_native_bf16_products() {
  return cpu::native_bf16_products();
}

const char* name_of(Bf16Products products) {
  return products == Bf16Products::native ? "native" : "widened";
}

}  // namespace hearth
