// A recipe: everything that a run was asked to do, read from YAML, checked whole, with every default filled in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/file.h"
#include "data/format.h"

namespace hearth {

/// One struct for each section, one field for each key of that name. The initial value of a field is the default of its
/// key; those marked "by task" are set when the recipe is read (see task_defaults in recipe_resolve.h), so that a
/// Recipe from read_recipe has nothing left to guess except what needs the model, the data or the ranks: an empty
/// optional. Names, aliases and meanings for people are in the one table of recipe_table.cpp.
struct Recipe {
  enum class Stage { pt, sft };
  enum class Tuning { full };
  enum class Init { normal, xavier };
  enum class Overflow { raise, drop, truncate, split };
  enum class BadRows { error, drop };
  enum class Packing { none, bfd, wrapped };
  enum class Scheduler { cosine, cosine_with_min_lr, linear, constant, constant_with_warmup, warmup_stable_decay };
  enum class Optimizer { adamw };
  enum class SumOrder { fixed, fast };
  enum class Products { automatic, native, widened };
  enum class OnSpike { stop };
  enum class PipelineSchedule { one_forward_one_backward, interleaved, zero_bubble };
  enum class ReportTo { none };
  enum class EvalStrategy { no, steps };

  struct Dataset {
    std::string path;                            // a file, a folder or a glob, seen from the current folder
    std::optional<Format> format;                // empty: found from the rows' own keys
    std::string split;                           // of a folder: only the files of that name (train); empty: all
    std::optional<std::int64_t> max_samples;     // rows from the start of the dataset; empty: data.max_samples
    std::map<std::string, std::string> columns;  // our word (text, prompt, completion, input_ids, labels) -> the column
    bool operator==(const Dataset&) const = default;
  };

  struct Model {
    std::optional<std::string> model_name_or_path;      // a folder; exactly one of this and model_config
    std::optional<std::string> model_config;            // JSON text of a config.json: fresh weights of that shape
    std::optional<double> initializer_range;            // standard deviation; empty: the config's own, else 0.02
    Init init = Init::normal;                           // what transformers does
    std::optional<std::string> tokenizer_name_or_path;  // a folder or a tokenizer.json; empty: the model's
    std::optional<std::int64_t> tokenizer_vocab_size;   // entries of a byte-level BPE to train first; empty: none
    bool operator==(const Model&) const = default;
  };

  struct Method {
    Stage stage = Stage::sft;      // the commoner wish
    Tuning tuning = Tuning::full;  // finetuning_type
    bool operator==(const Method&) const = default;
  };

  /// Which tokens of a row are trained.
  struct TrainOn {
    bool prompt = false;  // prompts of prompt/completion rows; by default they are context, not an answer to learn
    bool operator==(const TrainOn&) const = default;
  };

  struct Data {
    std::vector<Dataset> datasets;           // at least one
    std::vector<Dataset> eval_dataset;       // held-out rows
    double val_size = 0;                     // below 1 a share, else a whole number of documents or rows
    std::string cache_dir;                   // token stores; default: .hearth-cache beside output_dir, shared by runs
    std::optional<std::int64_t> cutoff_len;  // tokens of a row or pack; empty: min(2048, the model's limit)
    Overflow overflow = Overflow::raise;     // pt: split. Nothing is cut without having been asked
    Packing packing = Packing::bfd;          // pt: wrapped. Always masked between documents
    TrainOn train_on;
    std::optional<std::int64_t> max_samples;     // rows of each dataset; empty: all
    BadRows bad_rows = BadRows::error;           // drop: rows that cannot be used are left out, up to bad_rows_limit
    std::optional<std::int64_t> bad_rows_limit;  // the most rows left out; needed by drop: never silently fewer rows
    bool shuffle = true;                         // false: file order, step k takes rows k B to (k + 1) B - 1
    bool operator==(const Data&) const = default;
  };

  struct Train {
    std::int64_t per_device_train_batch_size = 1;                 // rows or packs of a rank's microbatch
    std::optional<std::int64_t> gradient_accumulation_steps = 1;  // microbatches of a step and rank at the first start;
                                                                  // empty: what global_batch_size makes of it
    std::optional<std::int64_t> global_batch_size;  // rows of a step; empty: the product, at the first start
    std::optional<std::int64_t> threads_per_rank;   // empty: cores / ranks of the host
    double learning_rate = 1e-5;                    // peak; by task
    Scheduler lr_scheduler_type = Scheduler::cosine;
    double min_lr_ratio = 0;                   // floor, as a share of the peak
    double decay_ratio = 0.2;                  // share of steps that decay in warmup_stable_decay
    std::optional<double> warmup_ratio = 0.1;  // share of steps; by task; exactly one of these two is set
    std::optional<std::int64_t> warmup_steps;  // steps
    double num_train_epochs = 3;               // passes over the data; by task
    std::optional<std::int64_t> max_steps;     // steps; set: wins over the epochs
    double weight_decay = 0;                   // decoupled, matrices only; by task
    double adam_beta1 = 0.9;
    double adam_beta2 = 0.95;  // what large models are trained with; 0.999 forgets spikes late
    double adam_epsilon = 1e-8;
    double label_smoothing_factor = 0;  // mass spread evenly over the vocabulary
    double max_grad_norm = 1.0;         // of the averaged gradient, on by default; 0: no clipping
    Optimizer optim = Optimizer::adamw;
    Dtype dtype = Dtype::bf16;                     // storage and compute; master weights, moments, sums are f32
    SumOrder sum_order = SumOrder::fixed;          // fixed: the same bits on every mesh; fast: one reduction a step
    Products bf16_products = Products::automatic;  // native where every rank's processor has them
    OnSpike on_spike = OnSpike::stop;              // a run that became NaN needs a person
    std::int64_t gradient_checkpointing = 0;       // 0: keep everything; k: recompute the blocks of every k-th layer
    std::int64_t seed = 42;                        // of data order and fresh weights
    bool operator==(const Train&) const = default;
  };

  struct Parallel {
    std::int64_t tensor_parallel_size = 1;        // ranks that share every matrix
    std::int64_t pipeline_parallel_size = 1;      // ranks that share the blocks
    std::int64_t expert_parallel_size = 1;        // larger than 1 is refused
    std::int64_t context_parallel_size = 1;       // ranks that share every sequence
    std::optional<int> zero_stage;                // 0 to 3; empty: 3 when more than one rank sums, else 0
    std::optional<std::int64_t> data_shard_size;  // ranks that share what ZeRO cuts; empty: all that sum
    std::optional<std::int64_t> pipeline_chunks;  // of each stage; empty: 2 when interleaved, else 1
    PipelineSchedule pipeline_schedule = PipelineSchedule::one_forward_one_backward;
    bool operator==(const Parallel&) const = default;
  };

  struct Output {
    std::string output_dir;                        // one run's folder
    std::int64_t logging_steps = 10;               // steps between lines
    std::int64_t save_steps = 500;                 // steps between checkpoints; the last step always commits
    std::optional<double> save_every_minutes;      // whichever comes first
    std::optional<std::int64_t> save_total_limit;  // newest checkpoints kept, 2 or more: one may prove broken
    bool save_only_model = false;                  // true: no optimizer state, cannot continue
    std::string resume_from_checkpoint = "auto";   // auto: newest that verifies; none: refuse a started run; or a path
    ReportTo report_to = ReportTo::none;           // nothing that needs a network
    bool plot_loss = true;                         // curves in report.html
    bool operator==(const Output&) const = default;
  };

  /// Closed-book questions, scored by exact match before the first and after the last step.
  struct Questions {
    std::string path;                  // rows of prompt and completion
    std::int64_t max_new_tokens = 32;  // a longer answer cannot be given and counts as missed
    bool operator==(const Questions&) const = default;
  };

  struct Eval {
    EvalStrategy eval_strategy = EvalStrategy::no;  // besides before the first and after the last step
    std::optional<std::int64_t> eval_steps;         // set when and only when the strategy is steps
    std::optional<Questions> domain_qa;
    bool operator==(const Eval&) const = default;
  };

  Model model;
  Method method;
  Data data;
  Train train;
  Parallel parallel;
  Output output;
  Eval eval;

  /// What the reader should be told (a key of another tool without effect here, a doubtful choice): one line each. The
  /// caller prints them. Not part of what is compared.
  std::vector<std::string> notes;
  /// For each key that was stated: the spelling that stated it. Not part of what is compared.
  std::map<std::string, std::string> stated_as;

  bool operator==(const Recipe& other) const;
  bool from_nothing() const { return model.model_config.has_value(); }
};

/// Whether the files that a recipe names must exist. `unchecked` is for recipes that are shown, or read back from a
/// checkpoint whose data lie elsewhere by now.
enum class RecipeFiles { checked, unchecked };

/// Reads a recipe: flat, nested by section or mixed. Each override is "key=value" or "section.key=value", the value in
/// YAML, and replaces what the file says; deeper names reach into maps ("model_config.hidden_size=64").
/// Throws one Error that holds every mistake, one line each: place, key, value, what is accepted. It is Kind::usage, but
/// where nothing is wrong except files that the recipe names: those that are not there, or not what they should be, are
/// Kind::data, and those that may not be looked at Kind::machine. A recipe that cannot be read is Kind::usage, and without
/// permission Kind::machine. Nothing but files is touched.
Recipe read_recipe(const Path& path, const std::vector<std::string>& overrides = {},
                   RecipeFiles files = RecipeFiles::checked);
/// The same from text; `name` stands for the file in messages.
Recipe parse_recipe(std::string_view text, const std::string& name, const std::vector<std::string>& overrides = {},
                    RecipeFiles files = RecipeFiles::checked);

/// YAML of every key with its canonical name and value, by section, with how it was stated as a comment. Reading it
/// gives an equal Recipe.
std::string resolved_yaml(const Recipe& recipe);
/// What a start found for keys that the recipe leaves open, or that mean something else on its ranks.
struct Settled {
  std::string ranks;                                       // how many, and their mesh
  std::map<std::string, std::string, std::less<>> values;  // by canonical key
};
/// The same with them as comments, so that it reads back as the recipe alone.
std::string resolved_yaml(const Recipe& recipe, const Settled& settled);

/// A key whose values differ; values as resolved_yaml writes them, empty where nothing is set.
struct Difference {
  std::string key;
  std::string before;
  std::string now;
};
std::vector<Difference> differences(const Recipe& before, const Recipe& now);
/// Whether a run may go on under another value of this canonical key (for max_steps and num_train_epochs: a larger
/// one; and for max_steps none, so that the epochs say where the run ends).
bool may_change(std::string_view key);
/// Those differences that do not let `now` continue a run of `before`.
std::vector<Difference> forbidden_changes(const Recipe& before, const Recipe& now);

/// How the rows of a step are divided. Fixed at the first start for the life of the run, whatever the ranks later.
struct StepRows {
  std::int64_t rows = 0;          // of a step
  std::int64_t microbatch = 0;    // rows of one microbatch
  std::int64_t microbatches = 0;  // of a step, over all ranks
};
/// At the first start on `ranks` data ranks. Throws Kind::usage when global_batch_size, per_device_train_batch_size and
/// gradient_accumulation_steps contradict each other on that many.
StepRows rows_of_first_start(const Recipe& recipe, int ranks);
/// Every accepted key by section: aliases, default, accepted values and meaning, as text for a terminal.
std::string describe_keys();

}  // namespace hearth
