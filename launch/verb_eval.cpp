// eval MODEL_OR_RUN --data F [--qa F]: loss, perplexity, exact match, as JSON.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "data/tokenizer_encoder.h"
#include "launch/loaded_model.h"
#include "launch/options.h"
#include "trainer/evaluate.h"
#include "trainer/run_data.h"
#include "trainer/step.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

/// Where the evaluation's token stores lie: the folder that was named, or one that only this user can look into and that goes
/// away at the end, because the texts are private.
class CacheFolder {
 public:
  CacheFolder(const Options& options, World& world) : world_(world) {
    if (options.has("cache-dir")) {
      path_ = options.text("cache-dir");
      return;
    }
    const Together together = together_of(world.all());
    const std::int64_t pid = together.from_first(::getpid());
    path_ = std::filesystem::temp_directory_path() / fmt::format("hearth-eval-{}-{}", ::getuid(), pid);
    all_or_none(together, [&] {
      if (world.first() && ::mkdir(path_.c_str(), 0700) != 0) {
        fail(Kind::machine, "cannot create the folder {} for tokenised data: {}; name another with --cache-dir",
             path_.string(), std::strerror(errno));
      }
    });
    passing_ = true;
  }
  ~CacheFolder() {
    std::error_code ignored;
    if (passing_ && world_.first()) std::filesystem::remove_all(path_, ignored);
  }
  CacheFolder(const CacheFolder&) = delete;
  CacheFolder& operator=(const CacheFolder&) = delete;
  const Path& path() const { return path_; }

 private:
  World& world_;
  Path path_;
  bool passing_ = false;
};

Prepared prepare_file(const std::string& path, std::int64_t cutoff, const OpenedModel& model, const Path& cache,
                      World& world) {
  DataOptions options;
  options.datasets = {DatasetSource{.path = path}};
  options.rules.stage = DataStage::pt;
  options.cutoff_len = cutoff;
  options.packing = Packing::none;
  options.overflow = Overflow::split;
  options.vocabulary = model.config().vocabulary;
  options.cache_dir = cache;
  options.by_recipe = false;
  const Together together = together_on_files_of(world.all());
  if (!model.tokenizer()) return prepare(options, nullptr, together);
  const TokenizerEncoder encoder(*model.tokenizer());
  return prepare(options, &encoder, together);
}

}  // namespace

int verb_eval(const Words& words, Environment& environment) {
  Options options(
      "eval MODEL_OR_RUN --data FILE [--qa FILE] [options]",
      "Mean loss (nats per token) and perplexity of a Hugging Face folder, a checkpoint or a run on texts or rows, and "
      "the\n"
      "share of questions (rows of prompt and completion) whose greedy answer is exactly the completion. Prints JSON.\n"
      "Runs alone or under mpirun.",
      {"MODEL_OR_RUN"});
  options.add()("data,d", po::value<std::string>(), "texts: a file, folder or glob (.txt .md .jsonl .jsonl.zst)")(
      "qa", po::value<std::string>(), "questions: rows of prompt and completion")(
      "cutoff-len", po::value<std::int64_t>(),
      "tokens of a row; longer texts are cut into several (default: 2048 or the model's limit)")(
      "dtype", po::value<std::string>(), "f32 or bf16; default: the model's own")(
      "threads", po::value<std::int64_t>(), "CPU threads per rank")("set", po::value<Words>()->composing(),
                                                                    "key=value of the mesh: tensor_parallel_size, ...")(
      "cache-dir", po::value<std::string>(), "where tokenised data is kept");
  if (!options.parse(words)) return 0;
  if (!options.has("data") && !options.has("qa")) fail(Kind::usage, "eval needs --data FILE, --qa FILE or both");
  LoadOptions load;
  for (const std::string& word : options.has("set") ? options.as<Words>("set") : Words()) apply_setting(word, load);
  if (options.has("dtype")) load.dtype = compute_dtype(options.text("dtype"));
  if (options.has("threads")) load.threads = options.threads();
  if (options.has("cutoff-len")) {
    load.capacity = options.as<std::int64_t>("cutoff-len");
    if (load.capacity < 2) fail(Kind::usage, "--cutoff-len {}: at least 2", load.capacity);
  }
  World world(environment, load.threads.value_or(default_threads(environment)));
  check_mesh(load, world);
  LoadedModel model(options.text("MODEL_OR_RUN"), load, environment, world);
  const std::int64_t longest = model.opened.config().max_positions;
  const std::int64_t cutoff = load.capacity > 0 ? load.capacity : std::min<std::int64_t>(2048, longest);
  if (cutoff > longest) {
    fail_everywhere(Kind::usage, "--cutoff-len {}: this model reads at most {} tokens", cutoff, longest);
  }
  const CacheFolder cache(options, world);
  nlohmann::ordered_json result;
  result["model"] = model.opened.name();
  if (options.has("data")) {
    const Prepared data = prepare_file(options.text("data"), cutoff, model.opened, cache.path(), world);
    if (data.train.trained() == 0) {
      fail_everywhere(Kind::data, "{} has no token that is to be predicted", options.text("data"));
    }
    const double loss = mean_loss(model.on.pipeline, DatasetRows(data.train));
    if (!std::isfinite(loss)) {
      fail_everywhere(Kind::numeric, "{}: the loss is {}: the weights are damaged or diverged", model.opened.name(),
                      loss);
    }
    result["loss"] = loss;
    result["perplexity"] = std::exp(loss);
    result["rows"] = data.train.rows();
    result["tokens"] = data.train.tokens();
    result["trained_tokens"] = data.train.trained();
  }
  if (options.has("qa")) {
    const Prepared questions = prepare_questions(options.text("qa"), cutoff, cache.path(), tokenizer_of(model.opened),
                                                 together_on_files_of(world.all()));
    const auto matches = exact_matches(model.on.pipeline, DatasetRows(questions.train));
    const auto right = std::count(matches.begin(), matches.end(), true);
    result["questions"] = matches.size();
    result["answered_exactly"] = right;
    result["exact_match"] = static_cast<double>(right) / static_cast<double>(matches.size());
  }
  if (world.first()) fmt::print("{}\n", result.dump(2));
  return 0;
}

}  // namespace hearth
