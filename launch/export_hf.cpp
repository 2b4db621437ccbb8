#include "launch/export_hf.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/sha384.h"
#include "launch/loaded_model.h"
#include "launch/version.h"
#include "model/hf/config.h"
#include "model/hf/names.h"
#include "trainer/probe.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

/// Reads elements of a tensor under its Hugging Face name, from whatever the model was opened from.
hf::Fill source_of(const OpenedModel& model) {
  return [&model](const std::string& foreign, std::int64_t begin, std::int64_t end, float* out) {
    if (model.checkpoint() != nullptr) {
      model.checkpoint()->read(Role::weight, hf::hearth_name(foreign), begin, end, out);
    } else {
      model.weights()->read_f32(foreign, begin, end, out);
    }
  };
}

/// The largest f32 that does not become infinite when it is stored as `dtype`.
float most_of(Dtype dtype) {
  if (dtype == Dtype::f16) return std::nextafter(65520.0F, 0.0F);
  const float most = std::numeric_limits<float>::max();
  return dtype == Dtype::bf16 ? std::nextafter(std::bit_cast<float>(0x7F7F8000U), 0.0F) : most;
}

/// The same elements; one that would not be a finite number in the files ends the export.
hf::Fill finite_source_of(const OpenedModel& model, Dtype dtype) {
  return [source = source_of(model), most = most_of(dtype), dtype](const std::string& foreign, std::int64_t begin,
                                                                   std::int64_t end, float* out) {
    source(foreign, begin, end, out);
    for (std::int64_t i = 0; i < end - begin; ++i) {
      if (std::abs(out[i]) <= most) continue;
      if (!std::isfinite(out[i])) {
        fail(Kind::validation, "{}: element {} is {}: the model's weights are damaged or diverged; nothing was kept",
             foreign, begin + i, out[i]);
      }
      fail(Kind::validation, "{}: element {} is {}, which {} holds as infinity; nothing was kept. Export it with {}",
           foreign, begin + i, out[i], name_of(dtype),
           dtype == Dtype::f16 ? "--dtype bf16 or --dtype f32" : "--dtype f32");
    }
  };
}

std::size_t write_folder(const OpenedModel& model, const Path& folder, Dtype dtype, std::uint64_t shard_bytes) {
  std::vector<hf::TensorPlan> plans;
  for (const hf::NamedTensor& tensor : hf::expected_tensors(model.config())) {
    hf::TensorPlan plan{tensor.foreign, hf::stored(dtype), {}};
    for (int i = 0; i < tensor.dims.count; ++i) plan.dims.push_back(static_cast<std::uint64_t>(tensor.dims[i]));
    plans.push_back(std::move(plan));
  }
  const auto shards = hf::plan_shards(plans, shard_bytes);
  hf::write_weights(folder, shards, finite_source_of(model, dtype));
  write_file(folder / "config.json", hf::to_json(model.config(), dtype));
  for (const auto& [name, bytes] : model.files()) {
    if (name != "config.json") write_file(folder / name, bytes);
  }
  if (!carried_file(model.files(), "generation_config.json")) {
    write_file(folder / "generation_config.json", hf::generation_json(model.config()));
  }
  return shards.size();
}

/// Eight rows of ids drawn over the whole vocabulary, up to 256 tokens long: positions far from 0 show a wrong
/// rotation.
ListedRows probes_for(const ModelConfig& config) {
  const Key key = Key(2026).with("export");
  std::vector<Row> rows;
  std::uint64_t index = 0;
  for (const std::int64_t wish : {1, 2, 7, 16, 33, 64, 129, 256}) {
    std::vector<std::int32_t> ids;
    for (std::int64_t t = 0; t < std::min(wish, config.max_positions); ++t) {
      ids.push_back(static_cast<std::int32_t>(key.below(static_cast<std::uint64_t>(config.vocabulary), index++)));
    }
    rows.push_back(labelled_row(std::move(ids), {}));
  }
  return ListedRows(std::move(rows));
}

/// Rounding weights to f16 leaves relative errors of 2^-11 in each; through L layers of about ten products they add up
/// like independent ones, and single logits reach four deviations.
double bound_of(Dtype dtype, std::int64_t layers, double largest) {
  if (dtype != Dtype::f16) return 0;
  return 4 * std::exp2(-11) * std::sqrt(10.0 * static_cast<double>(layers) + 2) * largest;
}

/// One probe; what it found goes into the report.
void compare(std::span<const float> before, std::span<const float> after, std::int64_t layers, std::int64_t probe,
             ExportReport& report) {
  double worst = 0;
  double largest = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double error = std::abs(static_cast<double>(before[i]) - after[i]);
    worst = std::isnan(error) ? error : std::max(worst, error);  // once NaN it stays
    largest = std::max(largest, std::abs(static_cast<double>(before[i])));
  }
  const double bound = bound_of(report.dtype, layers, largest);
  if (!(worst <= bound) || !std::isfinite(largest)) {
    fail(Kind::validation,
         "the exported files do not give the checkpoint's logits: off by {} (allowed {}) on probe {}; nothing was kept",
         worst, bound, probe);
  }
  report.largest_difference = std::max(report.largest_difference, worst);
}

/// Collective; the first rank compares.
void compare(LoadedModel& trained, LoadedModel& reread, const Together& together, ExportReport& report) {
  const ListedRows rows = probes_for(trained.opened.config());
  for (std::int64_t row = 0; row < rows.count(); ++row) {
    const auto before = logits_of(trained.on.pipeline, rows, row);
    const auto after = logits_of(reread.on.pipeline, rows, row);
    all_or_none(together, [&] { compare(before, after, trained.opened.config().layers, row, report); });
    report.tokens += rows.tokens(row);
  }
  report.probes = static_cast<int>(rows.count());
}

void write_account(const OpenedModel& model, const Path& folder, const ExportReport& report) {
  nlohmann::ordered_json account;
  account["program"] = program_name();
  account["from"] = Path(model.name()).filename().string();
  account["checkpoint"] = model.checkpoint() != nullptr ? model.checkpoint()->digest() : "";
  account["dtype"] = std::string(name_of(report.dtype));
  account["probes"] = report.probes;
  account["probe_tokens"] = report.tokens;
  account["largest_logit_difference"] = report.largest_difference;
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const Path& file : files) account["sha384"][file.filename().string()] = sha384_of_file(file);
  write_file(folder / "hearth_export.json", account.dump(2) + "\n");
}

/// A hidden folder beside the target that goes away unless it was renamed. It has one name, and the kernel's lock while
/// somebody writes into it: so what an export that was killed left there is known to be nobody's, and is taken away by the next.
class Aside {
 public:
  Aside(const Path& to, const Path& folder) : to_(to), folder_(folder) {
    if (std::filesystem::exists(to) && !(std::filesystem::is_directory(to) && std::filesystem::is_empty(to))) {
      fail(Kind::usage, "{} holds something already; name a new folder", to.string());
    }
    make_folder(folder.parent_path());
    make_folder(folder);
    descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor_ < 0) fail(Kind::machine, "cannot write to {}: {}", folder.string(), std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      fail(Kind::machine, "another export is writing {}; wait for it, or name another folder", to.string());
    }
    mine_ = true;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) std::filesystem::remove_all(entry.path());
  }
  ~Aside() {
    std::error_code ignored;
    if (mine_) std::filesystem::remove_all(folder_, ignored);
    ::close(descriptor_);
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  const Path& folder() const { return folder_; }
  void commit() {
    sync_path(folder_);
    std::error_code ignored;
    std::filesystem::remove(to_, ignored);  // an empty folder
    rename_durably(folder_, to_);
    mine_ = false;
  }

 private:
  Path to_;
  Path folder_;
  int descriptor_ = -1;
  bool mine_ = false;
};

}  // namespace

Dtype stored_dtype(const std::string& name) {
  if (name == "f32" || name == "float32") return Dtype::f32;
  if (name == "bf16" || name == "bfloat16") return Dtype::bf16;
  if (name == "f16" || name == "float16") return Dtype::f16;
  fail(Kind::usage, "--dtype {}: f32, bf16 or f16", name);
}

ExportReport export_hf(const Path& model_or_run, const Path& to, const ExportOptions& options,
                       Environment& environment) {
  LoadOptions load = options.load;
  World world(environment, load.threads.value_or(default_threads(environment)));
  check_mesh(load, world);
  const Together together = together_of(world.all());
  const Path target = plain(std::filesystem::absolute(to).lexically_normal());
  const Path folder = target.parent_path() / fmt::format(".{}.export", target.filename().string());
  std::optional<Aside> aside;
  ExportReport report;
  OpenedModel opened = open_model(model_or_run, world);
  report.dtype = options.dtype.value_or(opened.dtype());
  report.parameters = opened.config().parameters();
  all_or_none(together, [&] {
    if (!world.first()) return;
    aside.emplace(target, folder);
    report.files = write_folder(opened, folder, report.dtype, options.shard_bytes);
    if (options.written) options.written(folder);
  });
  load.capacity = 256;
  load.dtype = report.dtype == Dtype::bf16 ? Dtype::bf16 : Dtype::f32;
  if (world.size() > 1) load.zero_stage = 3;  // no rank holds a whole model
  LoadedModel trained(std::move(opened), load, environment, world);
  load.products = trained.device.products;  // the two ways differ in bits
  {
    LoadedModel reread(folder, load, environment, world);
    compare(trained, reread, together, report);
  }
  all_or_none(together, [&] {
    if (!world.first()) return;
    write_account(trained.opened, folder, report);
    aside->commit();
  });
  return report;
}

}  // namespace hearth
