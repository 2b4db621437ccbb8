// verify RECIPE: whether the mesh of a recipe gives what one rank gives, on the machines that it is to run on.
#include <cstdio>

#include "base/file.h"
#include "launch/options.h"
#include "trainer/recipe_step.h"
#include "trainer/run_model.h"
#include "trainer/run_start.h"
#include "trainer/together_of.h"
#include "trainer/verify_report.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

}  // namespace

int verb_verify(const Words& words, Environment& environment) {
  Options options(
      "verify RECIPE [--set key=value ...] [--report FILE.json]",
      "Trains a small copy of the recipe's model on made-up rows, on all ranks as the recipe says and on the first "
      "rank\n"
      "alone, and compares losses, every parameter's gradient, the norm and the weights after two steps: to the bit\n"
      "where that is promised, else within what rounding explains. Of the recipe's files config.json alone is read, "
      "and\n"
      "its output_dir is not touched. As many ranks as the training will have:\n"
      "    mpirun -n 4 hearth verify recipe.yaml\n"
      "Ends with 0, or with 17 and the parameter, rank and axis that are off.",
      {"RECIPE"});
  options.add()("set", po::value<Words>()->composing(), "key=value: replaces a key of the recipe")(
      "report", po::value<std::string>(), "a JSON file to write the findings to");
  if (!options.parse(words)) return 0;
  const std::string name = options.text("RECIPE");
  const std::string report_file = options.has("report") ? options.output("report", {name}) : "";
  // Unlike train's, its data need not be there: nothing of them is read.
  const Recipe recipe =
      read_recipe(name, options.has("set") ? options.as<Words>("set") : Words(), RecipeFiles::unchecked);
  const int threads = static_cast<int>(recipe.train.threads_per_rank.value_or(default_threads(environment)));
  World world(environment, threads);
  const Together together = together_of(world.all());
  agree(world.all(), resolved_yaml(recipe), "were given different recipes: the file is not the same on their hosts");
  if (world.first()) {
    for (const std::string& note : recipe.notes) fmt::print(stderr, "note: {}\n", note);
  }
  ModelConfig config;
  all_or_none(together, [&] { config = config_of(recipe); });
  const std::optional<Bf16Products> products = products_of(recipe);
  const VerifyReport report = verify(recipe, config, world.all(), [&] {
    ChosenDevice device = make_device(environment, world, threads, products);
    return VerifyDevice(std::move(device.backend), std::move(device.kind));
  });
  if (world.first()) std::fputs(verify_text(report, name).c_str(), stdout);
  all_or_none(together, [&] {
    if (world.first() && !report_file.empty()) write_file(report_file, verify_json(report, name));
  });
  std::fflush(stdout);
  require_good(report, name);
  return 0;
}

}  // namespace hearth
