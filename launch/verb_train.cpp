// train RECIPE: the main job.
#include "launch/interruption.h"
#include "launch/options.h"
#include "launch/version.h"
#include "trainer/run.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

ProgressStyle style_named(const std::string& name, const Environment& environment) {
  if (name == "bar") return ProgressStyle::bar;
  if (name == "lines") return ProgressStyle::lines;
  if (name == "none") return ProgressStyle::none;
  if (name == "auto") return environment.launcher_terminal ? ProgressStyle::bar : ProgressStyle::lines;
  fail(Kind::usage, "--progress {}: bar, lines or none", name);
}

}  // namespace

int verb_train(const Words& words, Environment& environment) {
  Options options(
      "train RECIPE [--set key=value ...] [--until STEP] [--progress bar|lines|none]",
      "Trains by a recipe and leaves checkpoints, trainer_log.jsonl and report.html in its output_dir. The same\n"
      "command again continues from the newest good checkpoint, on any number of ranks. Alone or under mpirun:\n"
      "    mpirun -n 2 hearth train recipe.yaml\n"
      "SIGUSR1, and without mpirun Ctrl-C, saves a checkpoint and ends with code 10.",
      {"RECIPE"});
  options.add()("set", po::value<std::vector<std::string>>()->composing(), "key=value: replaces a key of the recipe")(
      "until", po::value<std::int64_t>(), "ends after this step of the run with a checkpoint, to be continued")(
      "progress", po::value<std::string>()->default_value("auto"),
      "bar, lines or none; a bar where the output is a terminal");
  if (!options.parse(words)) return 0;
  const std::int64_t until = options.has("until") ? options.whole("until", 1, std::int64_t{1} << 40) : 0;
  // From here on signals are orders: reading, starting MPI and preparing take a while.
  const Interruption interruption(environment.under_launcher ? Interruption::Of::usr1
                                                             : Interruption::Of::usr1_and_terminal);
  const ProgressStyle style = style_named(options.text("progress"), environment);
  const Recipe recipe = read_recipe(options.text("RECIPE"), options.has("set") ? options.as<Words>("set") : Words());
  const int threads = static_cast<int>(recipe.train.threads_per_rank.value_or(default_threads(environment)));
  World world(environment, threads);
  if (world.first() && style != ProgressStyle::none) {
    for (const std::string& note : recipe.notes) fmt::print("note: {}\n", note);
    const std::string crowded = recipe.train.threads_per_rank ? threads_note(environment, threads) : "";
    if (!crowded.empty()) fmt::print("note: {}\n", crowded);
  }
  RunContext context = {world.all(),
                        [&](std::optional<Bf16Products> products) { return make_device(environment, world, threads, products); },
                        threads,
                        program_name(),
                        style,
                        environment.colors};
  context.interrupted = &interruption.came();
  context.until = until;
  return train(recipe, context) == RunEnd::interrupted ? exit_code(Kind::preempted) : 0;
}

}  // namespace hearth
