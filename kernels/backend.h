// A device as hearth sees it: its memory and its table of ops.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/memory.h"
#include "kernels/ops.h"

namespace hearth {

/// How products of bf16 tensors are done on the CPU. Both sum in f32; they differ in bits, so a run keeps one for its life.
enum class Bf16Products { native, widened };
/// The widest vector instructions that may be used; `best` is what the processor has.
enum class Isa { sse41, avx2, avx512, best };

struct CpuOptions {
  int threads = 1;
  Bf16Products bf16_products = Bf16Products::widened;
  Isa isa = Isa::best;
  std::shared_ptr<Memory> memory = nullptr;  // what memory() gives; null: host memory of its own
};

/// A product as Ops::matmul is asked for it, all tensors unpitched, scale 1:  y (rows, columns) = op(a) op(b).
struct ProductShape {
  std::int64_t rows = 0;
  std::int64_t length = 0;  // of the sums
  std::int64_t columns = 0;
  Turn turn_a = Turn::no;
  Turn turn_b = Turn::no;
  Write write = Write::over;
  Dtype in = Dtype::f32;   // of a and b
  Dtype out = Dtype::f32;  // of y
};

/// An attention as Ops::attention and, where `backward`, Ops::attention_backward are asked for it.
struct AttentionCall {
  std::int64_t tokens = 0;           // T
  std::int64_t keys = 0;             // S
  std::int64_t heads = 0;            // N
  std::int64_t key_value_heads = 0;  // K
  std::int64_t head_width = 0;       // H
  bool window = false;
  bool backward = false;
  Dtype dtype = Dtype::f32;
};

/// The calls whose sizes decide what ops need beside their arguments.
struct Workload {
  std::vector<ProductShape> products;
  std::vector<AttentionCall> attentions;
};

/// Owns the memory and the ops of one device for one rank. Everything taken from memory() must be given back before it dies.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Memory& memory() = 0;
  virtual Ops& ops() = 0;
  /// Bytes of memory() that the ops hold once they have done all of this: they keep what they needed most. Takes none.
  virtual std::size_t workspace_bytes(const Workload& work) = 0;
  /// For people: "cpu, 2 threads, avx512, oneDNN 2.6.3, bf16 products native".
  virtual std::string description() const = 0;
};

/// Our vectorised loops, products by oneDNN. f32 and bf16.
std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);
/// The truth: the same table, plainly written, every sum in f64 in order of index; takes f64, f32 and bf16 tensors. Slow.
std::unique_ptr<Backend> make_plain_backend();
/// Whether the processor has native ones (AVX512-BF16 or AMX), and ONEDNN_MAX_CPU_ISA allows them.
bool has_native_bf16_products();
const char* name_of(Bf16Products products);

}  // namespace hearth
