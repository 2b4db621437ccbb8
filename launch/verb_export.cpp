// export RUN --to hf --output DIR: what leaves is what was trained.
#include "launch/export_hf.h"
#include "launch/options.h"

namespace hearth {

namespace po = boost::program_options;

int verb_export(const Words& words, Environment& environment) {
  Options options(
      "export RUN --output DIR [--to hf] [--dtype f32|bf16|f16]",
      "Writes the newest good checkpoint of a run (or one that is named: RUN/step-N) as a Hugging Face "
      "folder. The files\n"
      "are read back and their logits compared with the checkpoint's before it says done. Under mpirun the ranks\n"
      "share the comparison, and none of them holds a whole model.",
      {"RUN"});
  options.add()("to", po::value<std::string>()->default_value("hf"), "the form: hf, a Hugging Face folder")(
      "output,o", po::value<std::string>(), "the new folder; it must not hold anything yet")(
      "dtype", po::value<std::string>(), "of the weights: f32, bf16 or f16; default: the run's own")(
      "shard-bytes", po::value<std::int64_t>()->default_value(hf::usual_shard_bytes), "the most bytes of one file")(
      "threads", po::value<std::int64_t>(), "CPU threads of the comparison")(
      "set", po::value<Words>()->composing(), "key=value of the comparison's mesh: tensor_parallel_size, ...");
  if (!options.parse(words)) return 0;
  if (options.text("to") != "hf") fail(Kind::usage, "--to {}: hf is the one form there is", options.text("to"));
  if (!options.has("output")) fail(Kind::usage, "export needs --output DIR");
  ExportOptions wish;
  if (options.has("dtype")) wish.dtype = stored_dtype(options.text("dtype"));
  wish.shard_bytes = static_cast<std::uint64_t>(options.whole("shard-bytes", 1, std::int64_t{1} << 50));
  for (const std::string& word : options.has("set") ? options.as<Words>("set") : Words())
    apply_setting(word, wish.load);
  if (wish.load.dtype || wish.load.label_smoothing != 0) {
    fail(Kind::usage,
         "--set: export takes the axes of the mesh, its schedule and threads_per_rank; the dtype is --dtype");
  }
  if (options.has("threads")) wish.load.threads = options.threads();
  const ExportReport report = export_hf(options.text("RUN"), options.text("output"), wish, environment);
  if (environment.rank > 0) return 0;
  fmt::print(
      "{}: {} parameters in {}, {} file(s); read back, {} probes of {} tokens, largest difference of a logit {:.3g}\n",
      options.text("output"), report.parameters, name_of(report.dtype), report.files, report.probes, report.tokens,
      report.largest_difference);
  return 0;
}

}  // namespace hearth
