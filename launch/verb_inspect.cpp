// inspect PATH: what a file or folder holds.
#include "data/token_store.h"
#include "launch/options.h"
#include "model/hf/config.h"
#include "model/hf/inspect.h"
#include "model/hf/names.h"
#include "model/hf/weight_digest.h"
#include "trainer/checkpoint.h"
#include "trainer/metrics.h"
#include "trainer/progress.h"
#include "trainer/run_folder.h"

namespace hearth {

namespace {

/// The digest of a checkpoint's f32 weights, under their Hugging Face names: that of an f32 export.
std::string weight_digest(const CheckpointReader& checkpoint) {
  std::map<std::string, std::string> names;  // foreign -> ours, ascending
  for (const std::string& name : checkpoint.names()) names[hf::foreign_name(name)] = name;
  hf::WeightDigest digest;
  std::vector<float> piece;
  for (const auto& [foreign, name] : names) {
    const Dims dims = checkpoint.dims(name);
    digest.begin(foreign, hf::Stored::f32, dims);
    constexpr std::int64_t most = std::int64_t{1} << 20;
    for (std::int64_t at = 0; at < dims.elements(); at += most) {
      piece.resize(static_cast<std::size_t>(std::min(most, dims.elements() - at)));
      checkpoint.read(Role::weight, name, at, at + static_cast<std::int64_t>(piece.size()), piece.data());
      digest.add(piece);
    }
  }
  return digest.hex();
}

void inspect_checkpoint(const Path& path, Verify verify = Verify::all) {
  const CheckpointReader checkpoint(path, verify);
  const Manifest& manifest = checkpoint.manifest();
  std::uint64_t bytes = 0;
  for (const auto& [name, file] : manifest.files) bytes += static_cast<std::uint64_t>(file.bytes);
  fmt::print("checkpoint {}\n  written        {} by {}, {} part(s)\n  step           {}\n", path.string(),
             manifest.written, manifest.program, manifest.parts, manifest.state.step);
  if (const auto config = checkpoint.carried("config.json")) {
    const ModelConfig model = hf::parse_config(*config, (path / "config.json").string());
    fmt::print("  model          {}, {} layers, width {}, vocabulary {}\n", name_of(model.architecture), model.layers,
               model.width, model.vocabulary);
  }
  fmt::print("  parameters     {} in {} tensors, f32{}\n  size           {}\n", manifest.elements(),
             manifest.tensors.size(), manifest.moments ? ", with optimizer moments" : ", without optimizer state",
             bytes_text(static_cast<double>(bytes)));
  fmt::print("  seen           {} tokens, {} trained\n", manifest.state.tokens, manifest.state.trained_tokens);
  if (manifest.state.last_loss) fmt::print("  last loss      {}\n", *manifest.state.last_loss);
  fmt::print("  every file     verified (SHA-384)\n  weights        {}\n", weight_digest(checkpoint));
}

/// Whether a folder has safetensors in it, perhaps not all that belong together.
bool holds_weights(const Path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find(".safetensors") != std::string::npos) return true;
  }
  return false;
}

void inspect_store(const Path& path) {
  const TokenStore store(path);
  fmt::print("token store {}\n  documents      {}\n  tokens         {}\n  bad rows       {}\n  key            {}\n",
             path.string(), store.documents(), store.tokens(), store.bad_rows(), store.key());
}

void inspect_run(const Path& path, const RunRecord& record) {
  fmt::print("run {}\n  created        {} by {}\n", path.string(), record.created, record.program);
  if (std::filesystem::exists(path / "trainer_log.jsonl")) {
    const auto records = read_metrics(path / "trainer_log.jsonl");
    if (!records.empty()) {
      const StepRecord& last = records.back();
      fmt::print("  step           {} of {}, loss {}\n", last.step, last.total_steps, last.loss.value_or(0));
    }
  }
  std::vector<std::string> complaints;
  const auto newest = newest_verified(path, complaints);
  for (const std::string& complaint : complaints) fmt::print("  note           {}\n", complaint);
  fmt::print("  checkpoints    {}\n", checkpoints(path).size());
  if (newest) inspect_checkpoint(*newest, Verify::nothing);  // it was just verified
}

}  // namespace

int verb_inspect(const Words& words, Environment&) {
  Options options("inspect PATH [--tensors]",
                  "Describes a safetensors file, a model folder, a token store, a checkpoint or a run, and checks it "
                  "whole. `weights` is\n"
                  "one SHA-384 over names, dtypes, dims and values, the same whatever ranks wrote them.",
                  {"PATH"});
  options.add()("tensors", "list every tensor of a safetensors file or model folder");
  if (!options.parse(words)) return 0;
  const Path path = plain(options.text("PATH"));
  if (!std::filesystem::exists(path)) fail(Kind::data, "there is nothing at {}", path.string());
  if (!std::filesystem::is_directory(path) && path.extension() != ".safetensors") {
    fail(Kind::data,
         "{} is nothing that inspect knows: it describes .safetensors files, and the folders of models, token stores, "
         "checkpoints and runs",
         path.string());
  }
  if (!std::filesystem::is_directory(path) || std::filesystem::exists(path / "config.json")) {
    if (std::filesystem::exists(path / "MANIFEST.json")) {
      inspect_checkpoint(path);
    } else {
      fmt::print("{}", hf::to_text(hf::describe(path), options.has("tensors")));
    }
    return 0;
  }
  if (std::filesystem::exists(path / "index.h5")) {
    inspect_store(path);
  } else if (std::filesystem::exists(path / "MANIFEST.json")) {
    inspect_checkpoint(path);
  } else if (const auto record = run_record(path)) {
    inspect_run(path, *record);
  } else if (holds_weights(path)) {
    fmt::print("{}", hf::to_text(hf::describe(path), options.has("tensors")));
  } else {
    fail(Kind::data, "{} holds no model, token store, checkpoint or run; name the folder of one of them",
         path.string());
  }
  return 0;
}

}  // namespace hearth
