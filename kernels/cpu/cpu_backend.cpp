#include <oneapi/dnnl/dnnl.h>

#include <chrono>
#include <vector>

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
         "native bf16 products need AVX512-BF16, which this processor (or ONEDNN_MAX_CPU_ISA) does not "
         "give; use widened ones");
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
                       version->patch, options_.bf16_products == Bf16Products::native ? "native" : "widened");
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

Bf16Products measure_bf16_products(const CpuOptions& options) {
  if (!cpu::native_bf16_products()) return Bf16Products::widened;
  constexpr std::int64_t rows = 256, length = 768, columns = 768;
  constexpr int rounds = 16;
  std::vector<Bf16> a(rows * length, Bf16(0.7F)), b(columns * length, Bf16(-0.3F)), y(rows * columns);
  std::unique_ptr<Backend> ways[2];
  for (const Bf16Products way : {Bf16Products::native, Bf16Products::widened}) {
    CpuOptions tried = options;
    tried.bf16_products = way;
    tried.memory = nullptr;
    ways[way == Bf16Products::native ? 0 : 1] = make_cpu_backend(tried);
  }
  // The two take turns and the shortest of each counts, so that a neighbour on the machine does not decide.
  double best[2] = {1e9, 1e9};
  for (int round = 0; round < rounds; ++round) {
    for (const int way : {0, 1}) {
      const auto start = std::chrono::steady_clock::now();
      ways[way]->ops().matmul(Tensor(a.data(), Dtype::bf16, {rows, length}), Turn::no,
                              Tensor(b.data(), Dtype::bf16, {columns, length}), Turn::yes, 1, Write::over,
                              Tensor(y.data(), Dtype::bf16, {rows, columns}));
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      if (round > 0) best[way] = std::min(best[way], taken.count());  // the first makes primitives and pages
    }
  }
  return best[0] * 1.1 <= best[1] ? Bf16Products::native : Bf16Products::widened;
}

}  // namespace hearth
