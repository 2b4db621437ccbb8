// probe MODEL --input X.safetensors --output Y.safetensors: hold hearth against another implementation.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/sha384.h"
#include "launch/loaded_model.h"
#include "launch/options.h"
#include "model/hf/names.h"
#include "model/hf/safetensors.h"
#include "model/hf/safetensors_writer.h"
#include "trainer/probe.h"
#include "trainer/run_start.h"
#include "trainer/step.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

struct Input {
  std::vector<Row> rows;
  std::vector<std::uint64_t> dims;  // of input_ids
};

std::vector<std::int32_t> integers(const hf::SafetensorsFile& file, const std::string& name) {
  const hf::TensorInfo& info = file.info(name);
  const auto bytes = file.bytes(name);
  std::vector<std::int32_t> values(info.elements());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::int64_t value = 0;
    if (info.dtype == hf::Stored::i64) {
      std::memcpy(&value, bytes.data() + 8 * i, 8);
    } else if (info.dtype == hf::Stored::i32) {
      std::int32_t narrow = 0;
      std::memcpy(&narrow, bytes.data() + 4 * i, 4);
      value = narrow;
    } else {
      fail(Kind::data, "{}: {} is {}; I32 or I64 is read", file.path().string(), name, hf::name_of(info.dtype));
    }
    if (value < -100 || value > std::numeric_limits<std::int32_t>::max()) {
      fail(Kind::data, "{}: {}[{}] is {}", file.path().string(), name, i, value);
    }
    values[i] = static_cast<std::int32_t>(value);
  }
  return values;
}

void check_ids(const hf::SafetensorsFile& file, const char* name, std::span<const std::int32_t> ids,
               std::int64_t lowest, std::int64_t vocabulary) {
  for (const std::int32_t id : ids) {
    if (id == -100 && lowest < 0) continue;
    if (id < 0 || id >= vocabulary) {
      fail(Kind::data, "{}: {} holds {}; this model has the ids 0 to {}", file.path().string(), name, id,
           vocabulary - 1);
    }
  }
}

Input read_input(const Path& path, std::int64_t vocabulary) {
  const hf::SafetensorsFile file(path);
  for (const std::string& name : file.names()) {
    if (name == "input_ids" || name == "labels" || name == "document_starts") continue;
    fail(Kind::data,
         "{}: tensor `{}` is not read: input_ids, labels and document_starts are (documents of one row, instead of an "
         "attention mask)",
         path.string(), name);
  }
  Input input;
  input.dims = file.info("input_ids").dims;
  const auto ids = integers(file, "input_ids");
  check_ids(file, "input_ids", ids, 0, vocabulary);
  std::vector<std::int32_t> labels;
  if (file.has("labels")) {
    labels = integers(file, "labels");
    if (file.info("labels").dims != input.dims) {
      fail(Kind::data, "{}: labels are {} and input_ids {}", path.string(), file.info("labels").shape(),
           file.info("input_ids").shape());
    }
    check_ids(file, "labels", labels, -100, vocabulary);
  }
  if (ids.empty() || input.dims.empty() || input.dims.size() > 2) {
    fail(Kind::data, "{}: input_ids are {}; (B, S), or (T) with document_starts, is read", path.string(),
         file.info("input_ids").shape());
  }
  if (input.dims.size() == 1) {
    std::vector<std::int32_t> starts;
    if (file.has("document_starts")) starts = integers(file, "document_starts");
    const auto size = static_cast<std::int32_t>(ids.size());
    const bool good = starts.empty() ||
                      (starts.front() == 0 && starts.back() <= size && std::is_sorted(starts.begin(), starts.end()) &&
                       std::adjacent_find(starts.begin(), starts.end()) == starts.end());
    if (!good) fail(Kind::data, "{}: document_starts must begin with 0 and rise to at most {}", path.string(), size);
    input.rows.push_back(labelled_row(ids, labels, starts));
    return input;
  }
  if (file.has("document_starts")) {
    fail(Kind::data, "{}: document_starts divide one row, input_ids (T), and here they are {}", path.string(),
         file.info("input_ids").shape());
  }
  const auto length = static_cast<std::ptrdiff_t>(input.dims[1]);
  for (std::ptrdiff_t at = 0; at < static_cast<std::ptrdiff_t>(ids.size()); at += length) {
    const auto part = [&](const std::vector<std::int32_t>& of) {
      return of.empty() ? of : std::vector<std::int32_t>(of.begin() + at, of.begin() + at + length);
    };
    input.rows.push_back(labelled_row(part(ids), part(labels)));
  }
  return input;
}

std::string no_target(const std::string& file) {
  return fmt::format(
      "{} has no token that is to be predicted, so there is no loss: that takes a document of two tokens, and labels "
      "other "
      "than -100 behind its first",
      file);
}

void write_output(const Path& path, const Input& input, const Probed& probed, const Transformer& model) {
  std::vector<hf::TensorPlan> plans;
  auto logits_dims = input.dims;
  logits_dims.push_back(static_cast<std::uint64_t>(model.config().vocabulary));
  plans.push_back({"logits", hf::Stored::f32, logits_dims});
  if (probed.loss) plans.push_back({"loss", hf::Stored::f64, {1}});
  std::map<std::string, const std::vector<float>*> gradients;
  for (const Parameter& parameter : model.parameters()) {
    const auto found = probed.gradients.find(parameter.name);
    if (found == probed.gradients.end()) continue;
    hf::TensorPlan plan{"gradient." + hf::foreign_name(parameter.name), hf::Stored::f32, {}};
    for (int i = 0; i < parameter.full.count; ++i) plan.dims.push_back(static_cast<std::uint64_t>(parameter.full[i]));
    gradients[plan.name] = &found->second;
    plans.push_back(std::move(plan));
  }
  hf::SafetensorsWriter writer(path, std::move(plans));
  for (const hf::TensorPlan& plan : writer.order()) {
    if (plan.name == "loss") {
      writer.append(&*probed.loss, sizeof *probed.loss);
    } else if (plan.name == "logits") {
      for (const auto& row : probed.logits) writer.append_f32(row.data(), row.size());
    } else {
      writer.append_f32(gradients[plan.name]->data(), gradients[plan.name]->size());
    }
  }
  writer.commit();
}

}  // namespace

int verb_probe(const Words& words, Environment& environment) {
  Options options(
      "probe MODEL --input X.safetensors --output Y.safetensors [--gradients] [--set key=value ...]",
      "X holds input_ids (B, S), or (T) with document_starts, and optionally labels (not shifted, -100: none; without "
      "them, the tokens themselves); Y gets\n"
      "logits (f32), loss (f64, mean over the valid targets, if there are any) and with --gradients gradient.NAME "
      "under\n"
      "the checkpoint's own names. Runs alone or under mpirun.\n" +
          std::string(settings_text),
      {"MODEL"});
  options.add()("input,i", po::value<std::string>(), "the tokens")(
      "output,o", po::value<std::string>(), "the file to write")("gradients", "of the loss, for every parameter")(
      "set", po::value<Words>()->composing(), "key=value");
  if (!options.parse(words)) return 0;
  for (const char* name : {"input", "output"}) {
    if (!options.has(name)) fail(Kind::usage, "probe needs --{} FILE", name);
  }
  const std::string output = options.output("output", {options.text("input")});
  LoadOptions load;
  for (const std::string& word : options.has("set") ? options.as<Words>("set") : Words()) apply_setting(word, load);
  load.trainable = options.has("gradients");
  World world(environment, load.threads.value_or(default_threads(environment)));
  check_mesh(load, world);
  const Together together = together_of(world.all());
  OpenedModel opened = open_model(options.text("MODEL"), world);
  Input input;
  all_or_none(together, [&] { input = read_input(options.text("input"), opened.config().vocabulary); });
  agree(world.all(), sha384_of_file(options.text("input")),
        "were given different tokens: the --input file is not the same on their hosts");
  const ListedRows rows(input.rows);
  if (load.trainable) check_microbatches(load, world, rows.count());
  if (load.trainable && targets_of(rows) == 0) {
    fail_everywhere(Kind::data, "{}, so there are no gradients either: give such a token, or leave out --gradients",
                    no_target(options.text("input")));
  }
  load.capacity = capacity_for(rows, 1);
  if (load.capacity > opened.config().max_positions) {
    fail_everywhere(Kind::data, "{}: rows of {} tokens, and the model reads at most {}", options.text("input"),
                    load.capacity, opened.config().max_positions);
  }
  LoadedModel model(std::move(opened), load, environment, world);
  const Probed probed = probe(model.on.pipeline, model.on.groups, rows, {.gradients = options.has("gradients")});
  all_or_none(together, [&] {
    for (const std::vector<float>& row : probed.logits) {  // the first rank has them
      if (std::all_of(row.begin(), row.end(), [](float logit) { return std::isfinite(logit); })) continue;
      fail(Kind::numeric, "{}: the model's logits are not numbers: its weights are damaged or diverged",
           model.opened.name());
    }
    if (world.first()) write_output(output, input, probed, model.transformer);
  });
  if (!world.first()) return 0;
  if (probed.loss) {
    fmt::print("{}: {} row(s), loss {:.8g}\n", output, rows.count(), *probed.loss);
  } else {
    fmt::print("{}: {} row(s), logits only\n", output, rows.count());
    fmt::print(stderr, "note: {}\n", no_target(options.text("input")));
  }
  return 0;
}

}  // namespace hearth
