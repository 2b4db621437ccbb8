// Speed of a tokenizer on one thread: `tokenizer_bench` reads tokenizer.json from HEARTH_BENCH_TOKENIZER and a text from
// HEARTH_BENCH_TEXT. "first" has cold caches, as one document after loading has; "again" is what a corpus sees.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <span>

#include "base/error.h"
#include "data/tokenizer/bpe_trainer.h"
#include "data/tokenizer/tokenizer.h"

namespace hearth {
namespace {

Path from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) fail(Kind::usage, "{} must name a file", name);
  return value;
}

Tokenizer tokenizer() {
  return Tokenizer::load(from_environment("HEARTH_BENCH_TOKENIZER"));
}
std::string text() {
  return read_text(from_environment("HEARTH_BENCH_TEXT"));
}

void count(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void load(benchmark::State& state) {
  const std::string json = tokenizer().json();
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::parse(json, "tokenizer.json"));
  count(state, json.size());
}
BENCHMARK(load)->Unit(benchmark::kMillisecond);

void encode_first(benchmark::State& state) {
  const std::string json = tokenizer().json();
  const std::string input = text();
  for (auto _ : state) {
    state.PauseTiming();
    const Tokenizer fresh = Tokenizer::parse(json, "tokenizer.json");
    state.ResumeTiming();
    benchmark::DoNotOptimize(fresh.encode(input, Special::none));
  }
  count(state, input.size());
}
BENCHMARK(encode_first)->Unit(benchmark::kMillisecond);

void encode_again(benchmark::State& state) {
  const Tokenizer warm = tokenizer();
  const std::string input = text();
  for (auto _ : state) benchmark::DoNotOptimize(warm.encode(input, Special::none));
  count(state, input.size());
}
BENCHMARK(encode_again)->Unit(benchmark::kMillisecond);

void decode(benchmark::State& state) {
  const Tokenizer warm = tokenizer();
  const std::string input = text();
  const std::vector<std::int32_t> ids = warm.encode(input, Special::none);
  for (auto _ : state) benchmark::DoNotOptimize(warm.decode(ids, false));
  count(state, input.size());
}
BENCHMARK(decode)->Unit(benchmark::kMillisecond);

void train(benchmark::State& state) {
  const std::string input = text();
  for (auto _ : state) {
    BpeTrainer trainer;
    trainer.add(input);
    benchmark::DoNotOptimize(trainer.train(4096, {"<|endoftext|>"}));
  }
  count(state, input.size());
}
BENCHMARK(train)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth
