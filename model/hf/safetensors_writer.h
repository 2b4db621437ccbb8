// Writing safetensors files and the weights of a model folder, piece by piece: no tensor is ever held whole here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/hf/stored.h"

namespace hearth::hf {

struct TensorPlan {
  std::string name;
  Stored dtype = Stored::f32;
  std::vector<std::uint64_t> dims;

  std::uint64_t elements() const;
  std::uint64_t bytes() const;  // throws Kind::data when it does not fit 64 bits or is no whole number of bytes
};

using Metadata = std::map<std::string, std::string>;

/// One file. The header is written at once; then the tensors follow in the order of `order()`; commit() makes the file
/// appear under its name, synced. Without commit() nothing remains.
class SafetensorsWriter {
 public:
  /// Sorts the tensors as the format's own writer does: wider types first, then by name. transformers wants the
  /// metadata
  /// {"format": "pt"} in files it loads. Throws Kind::data for names that occur twice or a header above 100,000,000
  /// bytes.
  SafetensorsWriter(const Path& path, std::vector<TensorPlan> tensors, const Metadata& metadata = {});

  const std::vector<TensorPlan>& order() const { return tensors_; }
  /// The next bytes of the tensor at hand, as stored. REQUIRES: they do not reach beyond its end.
  void append(const void* data, std::size_t bytes);
  /// The same from f32, rounded to the tensor's dtype. REQUIRES: that is F32, BF16 or F16.
  void append_f32(const float* values, std::size_t count);
  /// REQUIRES: every tensor was written to its end.
  void commit();

 private:
  void skip_finished();  // moves on to the first tensor that still wants bytes

  OutFile file_;
  std::vector<TensorPlan> tensors_;
  std::size_t at_ = 0;         // the tensor at hand
  std::uint64_t written_ = 0;  // its bytes so far
  std::vector<std::byte> narrow_;
};

struct Shard {
  std::string file;
  std::vector<TensorPlan> tensors;  // in the order of writing
};

constexpr std::uint64_t usual_shard_bytes = 5'000'000'000;

/// Deals the tensors to files of at most `most_bytes` bytes of tensors each, in the order given, never splitting one (a
/// tensor that is larger has a file of its own): model.safetensors when they fit one, else
/// model-00001-of-0000N.safetensors and so on. Within a file they are in the order in which they will be written. The
/// same for the same arguments, so that ranks which only help to gather know the order too.
std::vector<Shard> plan_shards(const std::vector<TensorPlan>& tensors, std::uint64_t most_bytes = usual_shard_bytes);

/// The weights of a model folder: its shards and, when there are several, model.safetensors.index.json.
class WeightWriter {
 public:
  /// Throws Kind::data when the folder already holds weights. REQUIRES: the folder exists.
  WeightWriter(const Path& folder, std::vector<Shard> shards);
  ~WeightWriter();

  /// The next values of the tensor at hand: shard by shard, in the order of each shard's tensors. A piece ends where
  /// its tensor ends at the latest.
  void append(std::span<const float> values);
  /// Every shard appears under its name, then the index; until then nothing does. REQUIRES: everything was written.
  void commit();

 private:
  void open_next();
  std::string index() const;

  Path folder_;
  std::vector<Shard> shards_;
  std::vector<std::unique_ptr<SafetensorsWriter>> writers_;
  std::uint64_t left_ = 0;  // elements that the shard at hand still wants
};

/// Puts the elements [begin, end) of a tensor into `out`.
using Fill = std::function<void(const std::string& name, std::int64_t begin, std::int64_t end, float* out)>;

/// Writes all of it through a WeightWriter, asking `fill` for at most `piece` elements at a time, in order, and
/// commits.
void write_weights(const Path& folder, const std::vector<Shard>& shards, const Fill& fill,
                   std::int64_t piece = std::int64_t{1} << 20);

}  // namespace hearth::hf
