// A run as a Hugging Face folder, verified.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "launch/bootstrap.h"
#include "launch/loaded_model.h"
#include "model/hf/safetensors_writer.h"

namespace hearth {

struct ExportOptions {
  std::optional<Dtype> dtype;  // f32, bf16, f16; nothing: the run's
  std::uint64_t shard_bytes = hf::usual_shard_bytes;
  LoadOptions load;  // threads and mesh of the comparison
  /// For tests: called by the first rank when the folder is written and nothing of it was read back.
  std::function<void(const Path& folder)> written = {};
};

struct ExportReport {
  std::int64_t parameters = 0;
  Dtype dtype = Dtype::f32;
  std::size_t files = 0;
  int probes = 0;
  std::int64_t tokens = 0;
  double largest_difference = 0;  // of the logits
};

/// Collective over the ranks of the job; the first writes. Writes `to`, aside first and renamed when all of this held: every tensor there under the base's names; the files
/// opened by the reader; logits of the reread model equal to the checkpoint's on probes (to the bit for f32 and bf16,
/// computed in that dtype; for f16 within what rounding the weights to 11 bits may do); every weight written and every
/// such logit finite. hearth_export.json tells what was checked. Throws Kind::usage when `to` holds something,
/// Kind::validation when a check fails (and nothing is left behind).
ExportReport export_hf(const Path& model_or_run, const Path& to, const ExportOptions& options,
                       Environment& environment);

/// f32, bf16 or f16.
Dtype stored_dtype(const std::string& name);

}  // namespace hearth
