// Speed of the CPU backend on the shapes of a 110M Llama (12 x 768, F 2048, 12 heads, V 32000, T 1024), beside what the
// machine gives in the same run: whole dnnl_sgemm for products, the product rate for attention, y += x for AdamW.
// Threads: HEARTH_BENCH_THREADS, or 2.
#include <benchmark/benchmark.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <cstdlib>
#include <vector>

#include "base/random.h"
#include "kernels/backend.h"

namespace hearth {
namespace {

int threads() {
  const char* text = std::getenv("HEARTH_BENCH_THREADS");
  return text == nullptr ? 2 : std::atoi(text);
}

/// A backend and tensors of noise that live as long as one benchmark.
class Bench {
 public:
  explicit Bench(Bf16Products products = Bf16Products::widened)
      : backend_(make_cpu_backend({.threads = threads(), .bf16_products = products})) {}
  Ops& ops() { return backend_->ops(); }

  Tensor noise(Dtype dtype, Dims dims) {
    Buffer whole(backend_->memory(), static_cast<std::size_t>(dims.elements()) * sizeof(float));
    const Tensor values = whole.tensor(Dtype::f32, dims);
    std::uint32_t word = 1;
    for (float& value : values.span<float>()) {
      word = word * 1664525U + 1013904223U;
      value = static_cast<float>(word >> 8) * 0x1p-24F - 0.5F;
    }
    held_.emplace_back(backend_->memory(), whole.bytes());
    const Tensor tensor = held_.back().tensor(dtype, dims);
    ops().cast(values, tensor);
    return tensor;
  }
  Tensor integers(const std::vector<std::int32_t>& values) {
    held_.emplace_back(backend_->memory(), values.size() * sizeof(std::int32_t));
    const Tensor tensor = held_.back().tensor(Dtype::i32, {static_cast<std::int64_t>(values.size())});
    std::copy(values.begin(), values.end(), tensor.typed<std::int32_t>());
    return tensor;
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::vector<Buffer> held_;
};

void rate(benchmark::State& state, const char* unit, double work) {
  state.counters[unit] = benchmark::Counter(work * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

struct Product {
  const char* name;
  std::int64_t rows, columns, length;
  Turn turn_a, turn_b;
};

constexpr Product products[] = {{"query", 1024, 768, 768, Turn::no, Turn::yes},
                                {"up", 1024, 2048, 768, Turn::no, Turn::yes},
                                {"down", 1024, 768, 2048, Turn::no, Turn::yes},
                                {"up_input_gradient", 1024, 768, 2048, Turn::no, Turn::no},
                                {"up_weight_gradient", 2048, 768, 1024, Turn::yes, Turn::no},
                                {"head", 256, 32000, 768, Turn::no, Turn::yes},
                                {"head_input_gradient", 256, 768, 32000, Turn::no, Turn::no},
                                {"head_weight_gradient", 32000, 768, 256, Turn::yes, Turn::no},
                                {"one_row", 1, 2048, 768, Turn::no, Turn::yes}};

Dims left(const Product& p) {
  return p.turn_a == Turn::yes ? Dims{p.length, p.rows} : Dims{p.rows, p.length};
}
Dims right(const Product& p) {
  return p.turn_b == Turn::yes ? Dims{p.columns, p.length} : Dims{p.length, p.columns};
}
double work(const Product& p) {
  return 2.0 * static_cast<double>(p.rows) * static_cast<double>(p.columns) * static_cast<double>(p.length);
}

void matmul(benchmark::State& state, const Product& p, Dtype dtype, Bf16Products way) {
  Bench bench(way);
  const Tensor a = bench.noise(dtype, left(p)), b = bench.noise(dtype, right(p));
  const Tensor y = bench.noise(dtype, {p.rows, p.columns});
  for (auto _ : state) bench.ops().matmul(a, p.turn_a, b, p.turn_b, 1, Write::over, y);
  rate(state, "GFLOP", work(p));
}

void whole_sgemm(benchmark::State& state, const Product& p) {
  Bench bench;
  const Tensor a = bench.noise(Dtype::f32, left(p)), b = bench.noise(Dtype::f32, right(p));
  const Tensor y = bench.noise(Dtype::f32, {p.rows, p.columns});
  omp_set_num_threads(threads());
  for (auto _ : state) {
    dnnl_sgemm(p.turn_a == Turn::yes ? 'T' : 'N', p.turn_b == Turn::yes ? 'T' : 'N', p.rows, p.columns, p.length, 1,
               a.typed<float>(), a.pitch, b.typed<float>(), b.pitch, 0, y.typed<float>(), y.pitch);
  }
  rate(state, "GFLOP", work(p));
}

// Only what a causal kernel computes counts; backward is five products where forward has two.
void attention(benchmark::State& state, std::int64_t key_heads, Dtype dtype, bool backward) {
  constexpr std::int64_t tokens = 1024, heads = 12, width = 64;
  Bench bench;
  const Dims of_queries{tokens, heads, width}, of_keys{tokens, key_heads, width};
  const Tensor q = bench.noise(dtype, of_queries), k = bench.noise(dtype, of_keys), v = bench.noise(dtype, of_keys);
  const Tensor y = bench.noise(dtype, of_queries), dy = bench.noise(dtype, of_queries);
  const Tensor dq = bench.noise(dtype, of_queries), dk = bench.noise(dtype, of_keys), dv = bench.noise(dtype, of_keys);
  const Tensor log_sum = bench.noise(Dtype::f32, {tokens, heads});
  std::vector<std::int32_t> ends;
  for (std::int32_t t = 1; t <= tokens; ++t) ends.push_back(t);
  const Tensor first = bench.integers(std::vector<std::int32_t>(tokens, 0)), last = bench.integers(ends);
  const AttentionShape shape{0.125F, 0};
  bench.ops().attention(q, k, v, first, last, shape, y, log_sum);
  for (auto _ : state) {
    if (backward) {
      bench.ops().attention_backward(q, k, v, first, last, shape, y, log_sum, dy, dq, dk, dv);
    } else {
      bench.ops().attention(q, k, v, first, last, shape, y, log_sum);
    }
  }
  const double pairs = static_cast<double>(tokens) * static_cast<double>(tokens + 1) / 2;
  rate(state, "GFLOP", (backward ? 10.0 : 4.0) * pairs * static_cast<double>(heads * width));
}

constexpr std::int64_t parameters = 1 << 25;

void adamw(benchmark::State& state) {
  Bench bench;
  const Dims dims{parameters};
  const Tensor gradient = bench.noise(Dtype::f32, dims), weight = bench.noise(Dtype::f32, dims);
  const Tensor first = bench.noise(Dtype::f32, dims), second = bench.noise(Dtype::f32, dims);
  const Tensor control = bench.noise(Dtype::f32, {2});
  bench.ops().fill(1, control);
  bench.ops().fill(1, second);
  for (auto _ : state) bench.ops().adamw(gradient, control, {.rate = 1e-3}, weight, first, second);
  rate(state, "GB", 28.0 * parameters);
}

void add(benchmark::State& state) {
  Bench bench;
  const Tensor x = bench.noise(Dtype::f32, {parameters}), y = bench.noise(Dtype::f32, {parameters});
  for (auto _ : state) bench.ops().add(x, y);
  rate(state, "GB", 12.0 * parameters);
}

const int registered = [] {
  const auto add_one = [](const std::string& name, auto body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  for (const Product& p : products) {
    const std::string name = p.name;
    add_one("product/" + name + "/sgemm", [p](auto& state) { whole_sgemm(state, p); });
    add_one("product/" + name + "/f32", [p](auto& state) { matmul(state, p, Dtype::f32, Bf16Products::widened); });
    add_one("product/" + name + "/bf16_widened",
            [p](auto& state) { matmul(state, p, Dtype::bf16, Bf16Products::widened); });
    if (has_native_bf16_products()) {
      add_one("product/" + name + "/bf16_native",
              [p](auto& state) { matmul(state, p, Dtype::bf16, Bf16Products::native); });
    }
  }
  for (const std::int64_t key_heads : {12, 4}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      for (const bool backward : {false, true}) {
        add_one("attention/" + std::to_string(key_heads) + "/" + std::string(name_of(dtype)) +
                    (backward ? "/backward" : ""),
                [=](auto& state) { attention(state, key_heads, dtype, backward); });
      }
    }
  }
  add_one("flat/add", [](auto& state) { add(state); });
  add_one("flat/adamw", [](auto& state) { adamw(state); });
  return 0;
}();

}  // namespace
}  // namespace hearth
