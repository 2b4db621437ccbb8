#include "trainer/machine_measure.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <mutex>
#include <vector>

#include "parallel/thread_world.h"

namespace hearth {

namespace {

using Clock = std::chrono::steady_clock;

/// Median seconds of a call, of seven; the first one, which makes pages and primitives, is not counted.
double seconds_of(const std::function<void()>& call) {
  constexpr std::size_t rounds = 7;
  std::vector<double> taken;
  for (std::size_t round = 0; round <= rounds; ++round) {
    const auto start = Clock::now();
    call();
    if (round > 0) taken.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::nth_element(taken.begin(), taken.begin() + rounds / 2, taken.end());
  return taken[rounds / 2];
}

/// The largest of all ranks' values.
double slowest(Communicator& world, double mine) {
  std::vector<double> all(static_cast<std::size_t>(world.size()));
  world.gather(Tensor(&mine, Dtype::f64, {1}), Tensor(all.data(), Dtype::f64, {world.size()})).wait();
  return *std::max_element(all.begin(), all.end());
}

/// Memory for tensors of one measurement, every page touched.
class Bench {
 public:
  explicit Bench(Backend& backend) : ops(backend.ops()), memory_(backend.memory()) {}
  Tensor of(Dtype dtype, Dims dims) {
    buffers_.emplace_back(memory_, static_cast<std::size_t>(dims.elements()) * size_of(dtype));
    const Tensor tensor = buffers_.back().tensor(dtype, dims);
    ops.fill(0.25, tensor);
    return tensor;
  }
  Ops& ops;

 private:
  Memory& memory_;
  std::vector<Buffer> buffers_;
};

double product_rate(Communicator& world, Backend& backend, Dtype dtype) {
  constexpr std::int64_t rows = 1024, length = 1024, columns = 2048;
  Bench bench(backend);
  const Tensor x = bench.of(dtype, {rows, length});
  const Tensor w = bench.of(dtype, {columns, length});
  const Tensor y = bench.of(dtype, {rows, columns});
  world.barrier();
  const double seconds = seconds_of([&] { bench.ops.matmul(x, Turn::no, w, Turn::yes, 1, Write::over, y); });
  return 2.0 * rows * length * columns / slowest(world, seconds);
}

struct AttentionSeconds {
  double forward = 0;
  double backward = 0;
};

constexpr std::int64_t heads = 8;
constexpr std::int64_t head_width = 64;

AttentionSeconds attention_seconds(Communicator& world, Backend& backend, Dtype dtype, std::int64_t tokens) {
  Bench bench(backend);
  const Dims rows = {tokens, heads, head_width};
  const Tensor q = bench.of(dtype, rows), k = bench.of(dtype, rows), v = bench.of(dtype, rows);
  const Tensor y = bench.of(dtype, rows), dq = bench.of(dtype, rows), dk = bench.of(dtype, rows);
  const Tensor dv = bench.of(dtype, rows), dy = bench.of(dtype, rows);
  const Tensor log_sum = bench.of(Dtype::f32, {tokens, heads});
  const Tensor first = bench.of(Dtype::i32, {tokens}), last = bench.of(Dtype::i32, {tokens});
  for (std::int64_t t = 0; t < tokens; ++t) {
    first.typed<std::int32_t>()[t] = 0;
    last.typed<std::int32_t>()[t] = static_cast<std::int32_t>(t + 1);
  }
  const AttentionShape shape = {0.125F, 0};
  world.barrier();
  AttentionSeconds seconds;
  seconds.forward = slowest(world, seconds_of([&] { bench.ops.attention(q, k, v, first, last, shape, y, log_sum); }));
  seconds.backward = slowest(world, seconds_of([&] {
                               bench.ops.attention_backward(q, k, v, first, last, shape, y, log_sum, dy, dq, dk, dv);
                             }));
  return seconds;
}

/// Two lengths give the rate over long rows and the length at which half of it is reached.
void fit(double flops_a, double seconds_a, double tokens_a, double flops_b, double seconds_b, double tokens_b,
         double& rate, double& half) {
  // seconds = flops / rate * (1 + half / tokens)
  const double a = seconds_a / flops_a;
  const double b = seconds_b / flops_b;
  const double slope = std::max(0.0, (a - b) / (1 / tokens_a - 1 / tokens_b));
  const double at_infinity = b - slope / tokens_b;
  rate = at_infinity > 0 ? 1 / at_infinity : 1 / b;
  half = at_infinity > 0 ? slope / at_infinity : 0;
}

Machine::Attention attention_rates(Communicator& world, Backend& backend, Dtype dtype) {
  constexpr std::int64_t some = 256, more = 1024;
  const AttentionSeconds a = attention_seconds(world, backend, dtype, some);
  const AttentionSeconds b = attention_seconds(world, backend, dtype, more);
  const auto flops = [](std::int64_t tokens, double products) {
    return products * static_cast<double>(tokens * tokens * heads * head_width);  // half of 2 a pair and product
  };
  Machine::Attention rates;
  fit(flops(some, 2), a.forward, some, flops(more, 2), b.forward, more, rates.forward, rates.half_forward);
  fit(flops(some, 5), a.backward, some, flops(more, 5), b.backward, more, rates.backward, rates.half_backward);
  return rates;
}

double bandwidth(Communicator& world, Backend& backend) {
  constexpr std::int64_t elements = std::int64_t{1} << 24;  // 64 MiB each: beyond caches
  Bench bench(backend);
  const Tensor a = bench.of(Dtype::f32, {elements}), b = bench.of(Dtype::f32, {elements}),
               y = bench.of(Dtype::f32, {elements});
  world.barrier();
  return 3.0 * sizeof(float) * elements / slowest(world, seconds_of([&] { bench.ops.sum(a, b, y); }));
}

double smallest_op(Communicator& world, Backend& backend) {
  constexpr int times = 100;
  Bench bench(backend);
  const Tensor a = bench.of(Dtype::f32, {64}), y = bench.of(Dtype::f32, {64});
  world.barrier();
  return slowest(world, seconds_of([&] {
                   for (int i = 0; i < times; ++i) bench.ops.add(a, y);
                 })) /
         times;
}

}  // namespace

Machine::Link measure_link(Communicator& world, Memory& memory) {
  constexpr std::int64_t elements = std::int64_t{1} << 21;  // 8 MiB a rank
  const Buffer mine(memory, elements * sizeof(float));
  const Buffer all(memory, elements * sizeof(float) * static_cast<std::size_t>(world.size()));
  std::fill_n(static_cast<float*>(mine.data()), elements, 1.0F);
  std::fill_n(static_cast<float*>(all.data()), elements * world.size(), 1.0F);
  const auto part = [&](std::int64_t count) { return mine.tensor(Dtype::f32, {count}); };
  const auto whole = [&](std::int64_t count) { return all.tensor(Dtype::f32, {count * world.size()}); };
  const auto measured = [&](const std::function<void()>& call) {
    world.barrier();
    return slowest(world, seconds_of(call));
  };
  const double bytes = static_cast<double>(elements * (world.size() - 1)) * sizeof(float);
  Machine::Link link;
  link.latency = measured([&] { world.gather(part(16), whole(16)).wait(); }) / (world.size() - 1);
  link.gather = bytes / measured([&] { world.gather(part(elements), whole(elements)).wait(); });
  link.reduce = bytes / measured([&] { world.reduce_scatter(whole(elements), part(elements), Onto::held).wait(); });
  return link;
}

namespace {

Machine::Link link_of(Communicator& world, Memory& memory) {
  if (world.size() > 1) return measure_link(world, memory);
  Machine::Link link;
  std::mutex mutex;
  ThreadWorld(2).run([&](Communicator& threads) {
    HostMemory own;
    const Machine::Link mine = measure_link(threads, own);
    const std::lock_guard lock(mutex);
    link = mine;
  });
  return link;
}

}  // namespace

Machine measure_machine(Communicator& world, Backend& backend, double memory) {
  Machine machine;
  machine.name = "host";
  machine.device = Machine::Device::cpu;
  machine.memory = memory;
  machine.node = world.size();
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    machine.products[dtype] = product_rate(world, backend, dtype);
    machine.peaks[dtype] = machine.products[dtype];
    machine.attention[dtype] = attention_rates(world, backend, dtype);
  }
  machine.bandwidth = bandwidth(world, backend);
  machine.op = smallest_op(world, backend);
  machine.inside = link_of(world, backend.memory());
  machine.across = machine.inside;  // one host is all that can be measured
  machine.hides_gathers = false;    // the ranks' own cores move the bytes
  machine.hides_reduces = false;
  return machine;
}

}  // namespace hearth
