// One sequence, token by token: cache, sampling.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/batch.h"
#include "model/transformer.h"

namespace hearth {

/// How the next token is drawn. temperature 0: the most likely one (of equals the smallest id).
struct Sampling {
  double temperature = 0;
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;        // smallest set of the most likely tokens that holds this share
  std::uint64_t seed = 0;
};

/// The token drawn for place `index` of a sequence: a function of its arguments alone. Throws Kind::numeric on NaN
/// logits.
std::int32_t sample(std::span<const float> logits, const Sampling& sampling, std::uint64_t index);

/// Runs one sequence forward with a key-value cache. The weights, ops and memory outlive it.
class Decoder {
 public:
  /// capacity: the most tokens the sequence will have. REQUIRES: a model that is not cut along any axis.
  Decoder(const Transformer& model, WeightSource& weights, Ops& ops, Memory& memory, Dtype compute,
          std::int64_t capacity);

  /// Appends tokens and returns the logits (V) behind the last of them; valid until the next call.
  /// REQUIRES: length() + tokens.size() <= capacity, at least one token.
  std::span<const float> append(std::span<const std::int32_t> tokens);
  std::int64_t length() const { return length_; }

 private:
  void forward(std::span<const std::int32_t> tokens);

  const Transformer& model_;
  WeightSource& weights_;
  Ops& ops_;
  Memory& memory_;
  Dtype compute_;
  std::int64_t capacity_;
  std::int64_t length_ = 0;
  BatchMaker batches_;
  Arena scratch_;
  KeptMemory kept_;
  std::unique_ptr<Communicator> alone_;
  std::vector<Buffer> cache_memory_;
  std::vector<Cache> caches_;
  std::vector<float> logits_;

  static constexpr std::int64_t chunk = 512;  // rows of a prompt that run at once
};

}  // namespace hearth
