// The keys of the sections model, method, data and parallel. A new key is one row here and one field in recipe.h.
#include "trainer/recipe_values.h"

namespace hearth {
namespace {

using Key = RecipeKey;
constexpr auto model = RecipeSection::model;
constexpr auto method = RecipeSection::method;
constexpr auto data = RecipeSection::data;

/// Other tools say packing: true, and mean the packing that suits the stage.
ReadKey packing_wanted(ReadKey by_name) {
  return [by_name](RecipeDraft& draft, const Statement& statement) {
    const auto wanted = as_flag(statement.value);
    if (!wanted) return by_name(draft, statement);
    if (*wanted) {
      draft.note(fmt::format("{}: true packs as suits the stage; documents never see each other", statement.spelling));
      return false;
    }
    draft.recipe.data.packing = Recipe::Packing::none;
    return true;
  };
}

FieldReading packing() {
  FieldReading field =
      one_of(at(&Recipe::data, &Recipe::Data::packing),
             {{"none", Recipe::Packing::none}, {"bfd", Recipe::Packing::bfd}, {"wrapped", Recipe::Packing::wrapped}},
             {{"bfd_split", "is not there; state packing: bfd and overflow: split"}});
  field.read = packing_wanted(field.read);
  return field;
}

FieldReading overflow() {
  using Overflow = Recipe::Overflow;
  const char* end_kept = "would keep the end of a row, which no overflow does here";
  return one_of(at(&Recipe::data, &Recipe::Data::overflow),
                {{"raise", Overflow::raise},
                 {"drop", Overflow::drop},
                 {"truncate", Overflow::truncate},
                 {"split", Overflow::split},
                 {"delete", Overflow::drop},
                 {"right", Overflow::truncate},
                 {"keep_start", Overflow::truncate}},
                {{"left", end_kept}, {"keep_end", end_kept}});
}

FieldReading stage() {
  const std::string later = "is a stage that this version does not have yet";
  return one_of(at(&Recipe::method, &Recipe::Method::stage), {{"pt", Recipe::Stage::pt}, {"sft", Recipe::Stage::sft}},
                {{"dpo", later},
                 {"kd", later},
                 {"rm", later},
                 {"ppo", later},
                 {"kto", later},
                 {"orpo", later},
                 {"simpo", later},
                 {"grpo", later},
                 {"gkd", later}});
}

/// Without fresh weights there is no law of them.
FieldReading init() {
  const auto field = at(&Recipe::model, &Recipe::Model::init);
  FieldReading reading = one_of(field, {{"normal", Recipe::Init::normal}, {"xavier", Recipe::Init::xavier}});
  reading.write = [write = reading.write](const Recipe& recipe) {
    return recipe.from_nothing() ? write(recipe) : std::nullopt;
  };
  return reading;
}

const std::string no_lora =
    "is a way of tuning that this version does not have yet; write finetuning_type: full to "
    "train every weight";

FieldReading tuning() {
  return one_of(at(&Recipe::method, &Recipe::Method::tuning), {{"full", Recipe::Tuning::full}},
                {{"lora", no_lora}, {"qlora", no_lora}, {"dora", no_lora}, {"oft", no_lora}, {"freeze", no_lora}});
}

/// use_peft: a yes asks for an adapter, a no for every weight.
bool use_peft(RecipeDraft& draft, const Statement& statement) {
  const auto wanted = as_flag(statement.value);
  if (!wanted) return refuse_value(draft, statement, flag_words);
  if (!*wanted) return true;
  draft.complain(statement.value.line, "use_peft: `true` asks for LoRA, which " + no_lora);
  return false;
}

FieldReading val_size() {
  const auto field = at(&Recipe::data, &Recipe::Data::val_size);
  FieldReading reading = number(field, {0});
  reading.accepts = "a share below 1, or a whole number of documents or rows";
  reading.read = [field, accepts = reading.accepts](RecipeDraft& draft, const Statement& statement) {
    const auto value = as_number(statement.value);
    if (!value || !NumberRange{0, true, 1e15}.holds(*value)) return refuse_value(draft, statement, accepts);
    if (*value >= 1 && !as_whole(statement.value)) {
      draft.complain(
          statement.value.line,
          fmt::format("{}: {} is a share that leaves nothing to train on; accepted: {}, written without a point",
                      statement.spelling, statement.value.shown(), accepts));
      return false;
    }
    field.in(draft.recipe) = *value;
    return true;
  };
  return reading;
}

}  // namespace

std::vector<RecipeKey> model_and_data_keys() {
  using Model = Recipe::Model;
  using Data = Recipe::Data;
  return {
      {model,
       "model_name_or_path",
       {"base_model", "model", "checkpoint_dir"},
       text(at(&Recipe::model, &Model::model_name_or_path),
            "a folder with config.json and safetensors, a checkpoint (step-N) or a run"),
       "the model to go on from; this or model_config"},
      {model,
       "model_config",
       {},
       model_shape(at(&Recipe::model, &Model::model_config)),
       "shape of a model with fresh weights; a key that hearth does not read is refused, in a file noted and left out; "
       "this or model_name_or_path"},
      {model,
       "initializer_range",
       {},
       number(at(&Recipe::model, &Model::initializer_range), {0, false}),
       "standard deviation of fresh weights",
       "that of model_config, else 0.02"},
      {model, "init", {}, init(), "law of fresh weights", "normal"},
      {model,
       "tokenizer_name_or_path",
       {"tokenizer"},
       text(at(&Recipe::model, &Model::tokenizer_name_or_path), "a folder with a tokenizer.json, or that file"),
       "how text becomes tokens",
       "the model's"},
      {model,
       "tokenizer_vocab_size",
       {},
       whole(at(&Recipe::model, &Model::tokenizer_vocab_size), 257, 1 << 22),
       "train a byte-level BPE with this many entries on the datasets first",
       "none"},

      {method,
       "stage",
       {"rlhf_type", "rl"},
       stage(),
       "pt: every token of documents is trained; sft: the answers of rows"},
      {method,
       "finetuning_type",
       {"adapter", "tuner_type", "training_type", {"use_peft", use_peft}},
       tuning(),
       "which weights are trained",
       "has to be stated, except when training from nothing with stage: pt"},

      {data,
       "datasets",
       {"dataset", "train_dataset", "dataset_name", "pretraining_dataset"},
       dataset_list(at(&Recipe::data, &Data::datasets)),
       "what is trained on; of a folder, names that begin with a dot are left",
       "has to be stated"},
      {data,
       "eval_dataset",
       {"test_datasets", "val_dataset", "dataset_val"},
       dataset_list(at(&Recipe::data, &Data::eval_dataset)),
       "held-out rows",
       "none"},
      {data,
       "val_size",
       {"val_set_size", "split_dataset_ratio"},
       val_size(),
       "how much of the datasets is held out, chosen by seed before packing"},
      {data,
       "cache_dir",
       {},
       text(at(&Recipe::data, &Data::cache_dir), "a folder"),
       "where token stores are kept",
       ".hearth-cache beside output_dir",
       Key::Change::free},
      {data,
       "cutoff_len",
       {"max_length", "sequence_len", "max_seq_length", "max_seq_len"},
       whole(at(&Recipe::data, &Data::cutoff_len), 2, 1 << 26),
       "tokens of a row or pack",
       "2048, or the model's limit where that is less"},
      {data,
       "overflow",
       {"excess_length_strategy", "truncation_strategy", "truncation_mode"},
       overflow(),
       "what happens to a row longer than cutoff_len",
       "raise; with stage: pt, split"},
      {data,
       "packing",
       {"sample_packing", "packed", "neat_packing", "packing_strategy"},
       packing(),
       "how rows share a sequence, always masked from each other",
       "bfd; with stage: pt, wrapped"},
      {data,
       "train_on",
       {{"train_on_inputs", trained_prompt(Reversed::no)},
        {"train_on_input", trained_prompt(Reversed::no)},
        {"train_on_prompt", trained_prompt(Reversed::no)},
        {"completion_only_loss", trained_prompt(Reversed::yes)},
        {"train_on_completions", trained_prompt(Reversed::yes)}},
       trained_parts(at(&Recipe::data, &Data::train_on)),
       "which parts of prompt/completion rows are trained besides their completions"},
      {data, "max_samples", {}, whole(at(&Recipe::data, &Data::max_samples), 1), "rows of each dataset", "all"},
      {data,
       "bad_rows",
       {},
       one_of(at(&Recipe::data, &Data::bad_rows), {{"error", Recipe::BadRows::error}, {"drop", Recipe::BadRows::drop}}),
       "what happens to rows that cannot be used; drop needs bad_rows_limit",
       "error"},
      {data,
       "bad_rows_limit",
       {},
       whole(at(&Recipe::data, &Data::bad_rows_limit), 1),
       "the most rows that bad_rows: drop leaves out; without that it has no effect",
       "none"},
      {data,
       "shuffle",
       {{"disable_shuffling", flag(at(&Recipe::data, &Data::shuffle), Reversed::yes).read}, "dataset_shuffle"},
       flag(at(&Recipe::data, &Data::shuffle)),
       "false: rows in file order"},
  };
}

}  // namespace hearth
