// plan RECIPE|CONFIG: what a run needs and how long it takes, before there is one.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/counted.h"
#include "launch/options.h"
#include "launch/places.h"
#include "launch/version.h"
#include "trainer/machine_measure.h"
#include "trainer/mesh_plan.h"
#include "trainer/plan_json.h"
#include "trainer/plan_keys.h"
#include "trainer/plan_report.h"
#include "trainer/progress.h"
#include "trainer/recipe_mesh.h"
#include "trainer/recipe_step.h"
#include "trainer/run_data.h"
#include "trainer/run_model.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

constexpr const char* usage = "plan RECIPE|CONFIG [--ranks N | --mesh AXIS=SIZE,...] [options]";
constexpr const char* about =
    "Memory of every rank, bytes sent in a step, and the time of a step, for a recipe, or for a model's config.json\n"
    "(pretraining in bf16, rows of 2048 tokens, unless --set says otherwise). Nothing is started or taken. Alone: the\n"
    "recipe's own mesh. --ranks N: every mesh of N devices, with what is not stated (ZeRO, schedule, recomputation)\n"
    "chosen; the fastest that fits first. Times are arithmetic on the machine's rates: see docs/plan.md.\n"
    "hearth plan --measure [--machine FILE], also under mpirun: measures this host and writes FILE (host.yaml).";

/// shipped by name, or a file; `host`: what --measure writes.
Path machine_file(const std::string& name) {
  Path shipped = recipes_folder() / "machines" / (name + ".yaml");
  if (std::filesystem::is_regular_file(shipped)) return shipped;
  return name == "host" ? Path("host.yaml") : Path(name);
}

/// Where --measure writes: nothing that ships, and in no file's place but that of another machine description.
void check_measured_file(const std::string& name, const Path& file) {
  check_output_file("", file);
  std::error_code ignored;
  const bool is_there = std::filesystem::exists(file, ignored);
  if (is_there && std::filesystem::equivalent(std::filesystem::absolute(file).parent_path(),
                                              recipes_folder() / "machines", ignored)) {
    fail_everywhere(Kind::usage,
                    "--machine {}: this description ships with hearth ({}) and is not replaced; name another file",
                    name, file.string());
  }
  if (!is_there) return;
  try {
    read_machine(file);
  } catch (const Error& error) {
    if (error.kind() != Kind::usage) throw;
    fail_everywhere(Kind::usage,
                    "--machine {}: {} is there and describes no machine; it is left as it is: name another file", name,
                    file.string());
  }
}

int measure(const Options& options, Environment& environment) {
  for (const char* name : {"ranks", "mesh", "device-memory", "all", "json", "set"}) {
    if (options.has(name))
      fail(Kind::usage, "--{} says nothing of this host: plan --measure takes --machine alone", name);
  }
  const Path file = options.has("machine") ? machine_file(options.text("machine")) : Path("host.yaml");
  check_measured_file(options.has("machine") ? options.text("machine") : "host", file);
  const int threads = default_threads(environment);
  World world(environment, threads);
  const ChosenDevice device = make_device(environment, world, threads);
  const double memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGE_SIZE));
  Machine machine = measure_machine(world.all(), *device.backend, memory / world.size());
  machine.bf16_products = device.products;
  if (!world.first()) return 0;
  const std::string text =
      to_yaml(machine, fmt::format("Measured by {} on {} rank(s) of {}.\nOne device is one rank; links are {}.",
                                   program_name(), world.size(), device.backend->description(),
                                   world.size() > 1 ? "those between these ranks" : "those between two threads"));
  write_file(file, text);
  fmt::print("{}\nwritten to {}; use it with --machine {}\n", text, file.string(), file.string());
  return 0;
}

bool is_config(const Path& path) {
  return std::filesystem::is_directory(path) || path.extension() == ".json";
}

Recipe recipe_of(const Path& path, const Words& sets) {
  if (!is_config(path)) {  // the data need not be there
    return read_recipe(path, sets, RecipeFiles::unchecked);
  }
  const Path file = std::filesystem::is_directory(path) ? path / "config.json" : path;
  if (!std::filesystem::is_regular_file(file)) fail(Kind::data, "{} has no config.json", path.string());
  const std::string text =
      fmt::format("stage: pt\nfinetuning_type: full\nmodel_config: {}\ndatasets: rows.jsonl\noutput_dir: run\n",
                  nlohmann::json(file.string()).dump());
  return parse_recipe(text, path.string(), sets, RecipeFiles::unchecked);
}

/// A whole positive number, of ranks that are planned.
int size_of_option(const std::string& text, const std::string& what) {
  const bool is_number = text.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || text.find_first_not_of('0') == std::string::npos) {
    fail(Kind::usage, "{}: `{}` is no number of ranks", what, text);
  }
  int size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || size > most_planned_ranks) {
    fail(Kind::usage, "{}: {} ranks: at most {} are planned", what, text, most_planned_ranks);
  }
  return size;
}

/// Not more ranks than are planned; `what` asks for them.
MeshShape within_planned(const MeshShape& mesh, const std::string& what) {
  std::int64_t ranks = 1;  // a product of two sizes that are in bounds fits
  for (const int size : {mesh.pipe, mesh.data, mesh.context, mesh.tensor}) {
    ranks *= size;
    if (ranks > most_planned_ranks) {
      fail(Kind::usage, "{}: {} together are more ranks than the {} that are planned at most", what, mesh.text(),
           most_planned_ranks);
    }
  }
  return mesh;
}

/// "pipe=2,data=4"
MeshShape mesh_named(const std::string& text) {
  MeshShape mesh;
  std::set<std::string> named;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    at = end + 1;
    const std::size_t equals = part.find('=');
    const std::string axis = part.substr(0, equals);
    int* const size = axis == "pipe"      ? &mesh.pipe
                      : axis == "data"    ? &mesh.data
                      : axis == "context" ? &mesh.context
                      : axis == "tensor"  ? &mesh.tensor
                                          : nullptr;
    if (size == nullptr || equals == std::string::npos) {
      fail(Kind::usage, "--mesh {}: `{}` is not one of pipe=P, data=D, context=C, tensor=T", text, part);
    }
    if (!named.insert(axis).second) fail(Kind::usage, "--mesh {}: {} is stated twice; keep one of the two", text, axis);
    *size = size_of_option(part.substr(equals + 1), fmt::format("--mesh {}", part));
  }
  return within_planned(mesh, "--mesh " + text);
}

/// What the recipe settles. `rows`: of a step, where it does not say.
PlanRequest request_of(const Recipe& recipe, const ModelConfig& config, std::int64_t rows,
                       const Environment& environment) {
  PlanRequest request;
  request.compute = recipe.train.dtype;
  request.row_tokens = cutoff_len(recipe, config);
  request.microbatch_rows = recipe.train.per_device_train_batch_size;
  request.rows = recipe.train.global_batch_size.value_or(rows);
  request.asks_questions = recipe.eval.domain_qa.has_value();
  request.order = recipe.train.sum_order == Recipe::SumOrder::fast ? SumOrder::fast : SumOrder::fixed;
  request.threads = static_cast<int>(recipe.train.threads_per_rank.value_or(default_threads(environment)));
  request.isa = environment.isa;
  request.bf16_products = products_of(recipe);
  const auto& stated = recipe.stated_as;
  const auto size = [&](const char* key, std::int64_t of_axis) {
    return stated.contains(key) ? std::optional<int>(static_cast<int>(of_axis)) : std::nullopt;
  };
  request.pipe = size("pipeline_parallel_size", recipe.parallel.pipeline_parallel_size);
  request.context = size("context_parallel_size", recipe.parallel.context_parallel_size);
  request.tensor = size("tensor_parallel_size", recipe.parallel.tensor_parallel_size);
  if (recipe.train.global_batch_size && stated.contains("gradient_accumulation_steps")) {
    request.rounds = recipe.train.gradient_accumulation_steps;
  }
  request.zero_stage = recipe.parallel.zero_stage;
  if (recipe.parallel.data_shard_size) request.shard = static_cast<int>(*recipe.parallel.data_shard_size);
  if (stated.contains("gradient_checkpointing")) request.recompute = recipe.train.gradient_checkpointing;
  constexpr int several = 2;  // stages: what is stated of a schedule holds for every mesh that has one
  if (stated.contains("pipeline_schedule")) request.schedule = schedule_kind(recipe, several);
  if (recipe.parallel.pipeline_chunks) request.chunks = chunks_of(recipe, several);
  return request;
}

/// Rows of a step on so many ranks.
std::int64_t rows_of(const Recipe& recipe, int ranks) {
  return recipe.train.per_device_train_batch_size * ranks * recipe.train.gradient_accumulation_steps.value_or(1);
}

/// What a run takes where nothing is stated.
void settle(PlanRequest& request, const Recipe& recipe, const MeshShape& mesh) {
  request.zero_stage = zero_stage(recipe, mesh.data * mesh.context);
  if (!request.shard) request.shard = 0;
  request.recompute = recipe.train.gradient_checkpointing;
  request.schedule = schedule_kind(recipe, mesh.pipe);
  request.chunks = chunks_of(recipe, mesh.pipe);
}

/// What is planned, and on what.
struct Subject {
  std::string name;
  Recipe recipe;
  ModelConfig config;
  Machine machine;
  double memory = 0;  // bytes of a device
};

void print_heading(const Subject& of, const PlanRequest& request, int ranks) {
  fmt::print("{}: {}, {} parameters, {} layers, width {}, vocabulary {}\n", of.name, name_of(of.config.architecture),
             of.config.parameters(), of.config.layers, of.config.width, of.config.vocabulary);
  fmt::print("a step: {} of {} in {}, {}; {} x {}, {} each\n\n", counted(request.rows, "row"),
             counted(request.row_tokens, "token"), counted(request.microbatches(), "microbatch"),
             name_of(request.compute), ranks, of.machine.name, device_text(of.memory));
}

void print_json(const Subject& of, const PlanRequest& request, Planner& planner, const std::vector<MeshPlan>& plans) {
  nlohmann::ordered_json json = {{"model", of.name},
                                 {"architecture", name_of(of.config.architecture)},
                                 {"parameters", of.config.parameters()},
                                 {"machine", of.machine.name},
                                 {"device_bytes", of.memory},
                                 {"dtype", name_of(request.compute)},
                                 {"rows", request.rows},
                                 {"row_tokens", request.row_tokens},
                                 {"microbatches", request.microbatches()},
                                 {"meshes", nlohmann::ordered_json::array()}};
  for (const MeshPlan& plan : plans) {
    nlohmann::ordered_json mesh = mesh_json(planner, plan, of.machine);
    if (plan.refusal.empty()) {
      mesh["keys"] = nlohmann::ordered_json::object();
      for (const auto& [key, value] : plan_keys(of.recipe, plan.layout, request.rows)) mesh["keys"][key] = value;
    }
    json["meshes"].push_back(std::move(mesh));
  }
  fmt::print("{}\n", json.dump(1));
}

/// "tensor_parallel_size: 2": the sizes of axes that the recipe states. Empty: none.
std::string stated_sizes(const PlanRequest& request) {
  std::string text;
  const auto add = [&](const char* key, const std::optional<int>& size) {
    if (size) text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", key, *size);
  };
  add("tensor_parallel_size", request.tensor);
  add("pipeline_parallel_size", request.pipe);
  add("context_parallel_size", request.context);
  return text;
}

/// Throws in the trainer's words when no mesh of that many ranks has the sizes that are stated.
void check_stated(Recipe recipe, int ranks) {
  recipe.parallel.data_shard_size.reset();  // what it has to divide is yet to be chosen
  mesh_shape(recipe, ranks);
}

void show_all(const Subject& of, int ranks, const Options& options, const Environment& environment) {
  check_stated(of.recipe, ranks);
  const PlanRequest request = request_of(of.recipe, of.config, rows_of(of.recipe, ranks), environment);
  Planner planner(of.config, request, of.machine, of.memory);
  const std::vector<MeshPlan> plans = planner.all(ranks);
  if (options.has("json")) return print_json(of, request, planner, plans);
  print_heading(of, request, ranks);
  if (const std::string stated = stated_sizes(request); !stated.empty()) {
    fmt::print("only meshes with what the recipe states: {} (without that key, all are listed)\n", stated);
  }
  std::fputs(mesh_list(plans, options.has("all") ? 0 : 10).c_str(), stdout);
  if (!plans.front().refusal.empty()) return;
  std::string keys;
  for (const auto& [key, value] : plan_keys(of.recipe, plans.front().layout, request.rows)) {
    keys += fmt::format("  {}: {}\n", key, value);
  }
  fmt::print("\n{}", keys.empty() ? "the first needs no keys\n" : "the first, as keys of a recipe:\n" + keys);
}

MeshShape mesh_of(const Recipe& recipe) {
  const auto axis = [](std::int64_t size) { return static_cast<int>(size); };
  return within_planned({.pipe = axis(recipe.parallel.pipeline_parallel_size),
                         .context = axis(recipe.parallel.context_parallel_size),
                         .tensor = axis(recipe.parallel.tensor_parallel_size)},
                        "the mesh of the recipe");
}

void show_one(const Subject& of, const Options& options, const Environment& environment) {
  const MeshShape mesh = options.has("mesh") ? mesh_named(options.text("mesh")) : mesh_of(of.recipe);
  // A recipe's step has as many rows as a run on this mesh would make of it; a model alone, one for each device.
  const int microbatches = is_config(of.name) ? mesh.ranks() : mesh.data;
  PlanRequest request = request_of(of.recipe, of.config, rows_of(of.recipe, microbatches), environment);
  rows_of_first_start(of.recipe, mesh.data);  // throws when what the recipe states of its rows contradicts itself
  settle(request, of.recipe, mesh);
  Planner planner(of.config, request, of.machine, of.memory);
  const MeshPlan plan = planner.plan(mesh);
  if (options.has("json")) {
    print_json(of, request, planner, {plan});
  } else {
    print_heading(of, request, mesh.ranks());
    std::fputs(mesh_report(planner, plan, of.machine, of.memory).c_str(), stdout);
  }
  std::fflush(stdout);
  if (!plan.refusal.empty()) fail(Kind::usage, "{}: {} does not do: {}", of.name, mesh.text(), plan.refusal);
}

}  // namespace

int verb_plan(const Words& words, Environment& environment) {
  const bool measures = std::find(words.begin(), words.end(), "--measure") != words.end();
  Options options(usage, about, measures ? Words() : Words{"RECIPE"});
  options.add()("ranks", po::value<std::string>(), "every mesh of this many devices")(
      "mesh", po::value<std::string>(), "one mesh: pipe=P,data=D,context=C,tensor=T; what is left out is 1")(
      "machine", po::value<std::string>(), "h100 (default), h200, host, or a file")(
      "device-memory", po::value<double>(), "GiB of one device (an 80 GB card has 79.65); the machine's otherwise")(
      "all", "every mesh, not only the fastest, and every reason")("json", "every number of every mesh, for programs")(
      "set", po::value<Words>()->composing(), "key=value: replaces a key of the recipe")("measure",
                                                                                         "measure this host instead");
  if (!options.parse(words)) return 0;
  if (measures) return measure(options, environment);
  come_alone("plan", environment);
  if (options.has("ranks") && options.has("mesh")) fail(Kind::usage, "plan takes one of --ranks and --mesh");

  const Words sets = options.has("set") ? options.as<Words>("set") : Words();
  Subject of = {options.text("RECIPE"), recipe_of(options.text("RECIPE"), sets)};
  of.config = config_of(of.recipe);
  of.machine = read_machine(machine_file(options.has("machine") ? options.text("machine") : "h100"));
  of.memory = options.has("device-memory") ? options.as<double>("device-memory") * 1073741824.0 : of.machine.memory;
  if (!(of.memory > 0 && std::isfinite(of.memory))) {
    fail(Kind::usage, "--device-memory {}: a positive number of GiB is expected",
         options.has("device-memory") ? options.as<double>("device-memory") : of.memory);
  }
  if (options.has("ranks")) {
    show_all(of, size_of_option(options.text("ranks"), "--ranks"), options, environment);
  } else {
    show_one(of, options, environment);
  }
  return 0;
}

}  // namespace hearth
