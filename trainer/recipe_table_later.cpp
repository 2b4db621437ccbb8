// Keys that are understood and refused by name (a later capability, another tool's way), and keys of other tools that
// are accepted without effect.
#include "trainer/recipe_fields.h"

namespace hearth {
namespace {

using Aliases = std::vector<KeyAlias>;

/// A key that is refused with `reason` unless it asks for nothing (false, none, 0, empty).
RecipeKey refused(RecipeSection section, std::string name, Aliases aliases, std::string reason) {
  RecipeKey key;
  key.section = section;
  key.name = std::move(name);
  key.aliases = std::move(aliases);
  key.meaning = std::move(reason);
  key.field.read = [reason = key.meaning](RecipeDraft& draft, const Statement& statement) {
    if (asks_nothing(statement.value)) {
      draft.note(fmt::format("{}: {} asks for nothing here", statement.spelling, statement.value.shown()));
    } else {
      draft.complain(statement.line, fmt::format("{}: {} {}", statement.spelling, statement.value.shown(), reason));
    }
    return false;
  };
  return key;
}

RecipeKey later(RecipeSection section, std::string name, Aliases aliases, const std::string& capability,
                const std::string& remedy = "remove the key") {
  return refused(section, std::move(name), std::move(aliases),
                 fmt::format("belongs to {}, which this version does not have yet; {}", capability, remedy));
}

RecipeKey without_effect(std::string name, const std::string& reason) {
  RecipeKey key;
  key.section = RecipeSection::train;
  key.name = std::move(name);
  key.meaning = "accepted without effect: " + reason;
  key.field.read = [reason](RecipeDraft& draft, const Statement& statement) {
    draft.note(fmt::format("{} has no effect: {}", statement.spelling, reason));
    return false;
  };
  return key;
}

bool registry_folder(RecipeDraft& draft, const Statement& statement) {
  if (!statement.value.is_scalar() || statement.value.text.empty()) {
    return refuse_value(draft, statement, "a folder with a dataset_info.json");
  }
  draft.dataset_dir = statement.value.text;
  return true;
}

std::vector<RecipeKey> later_methods() {
  const auto method = RecipeSection::method;
  const std::string full = "remove it and write finetuning_type: full";
  return {
      later(RecipeSection::model, "adapter_name_or_path", {"lora_model_dir", "adapters"}, "LoRA", full),
      later(RecipeSection::model, "template", {"chat_template", "chat_template_path", "prompt_template"},
            "chat templates", "remove it; rows of text, prompt/completion and input_ids need none"),
      refused(RecipeSection::model, "quantization_bit", {"load_in_4bit", "load_in_8bit"},
              "asks for a quantised base, which this version does not have yet and never replaces by 16 bits in "
              "silence; remove it"),
      later(method, "lora_rank", {"lora_r"}, "LoRA", full),
      later(method, "lora_alpha", {}, "LoRA", full),
      later(method, "lora_dropout", {}, "LoRA", full),
      later(method, "lora_target", {"lora_target_modules", "target_modules", "lora_target_linear"}, "LoRA", full),
      later(method, "dpo_beta", {"pref_beta"}, "preference training"),
  };
}

std::vector<RecipeKey> later_data() {
  const auto data = RecipeSection::data;
  const std::string chat = "chat rows";
  const std::string prompt = "state train_on: {prompt: true} or {prompt: false} for prompt/completion rows";
  return {
      later(data, "replay", {}, "replay of general text"),  later(data, "roles_to_train", {}, chat),
      later(data, "train_on_eos", {"train_on_eot"}, chat),  later(data, "mask_history", {}, chat),
      later(data, "assistant_only_loss", {}, chat, prompt), later(data, "masking_strategy", {}, chat, prompt),
      later(data, "loss_scale", {}, chat, prompt),
  };
}

std::vector<RecipeKey> later_privacy_and_distill() {
  const auto privacy = RecipeSection::privacy;
  const auto distill = RecipeSection::distill;
  const std::string noise = "training with differential privacy";
  const std::string teacher = "distillation";
  return {
      later(privacy, "target_epsilon", {}, noise),
      later(privacy, "noise_multiplier", {}, noise),
      later(privacy, "target_delta", {}, noise),
      later(privacy, "per_sample_max_grad_norm", {{"max_grad_norm", privacy}}, noise),
      later(privacy, "clipping_mode", {}, noise),
      later(privacy, "accountant", {}, noise),
      later(privacy, "privacy_unit", {}, noise),
      later(privacy, "secure_rng", {"secure_mode"}, noise),
      later(distill, "teacher_model", {"teacher_model_name_or_path", "teacher"}, teacher),
      later(distill, "teacher_logits", {"logprobs_field"}, teacher),
      later(distill, "topk", {"gkd_logits_topk", "kd_online_topk", "logprob_compressor"}, teacher),
      later(distill, "kd_alpha", {"kd_ratio"}, teacher),
      later(distill, "kd_ce_alpha", {"sft_alpha"}, teacher),
      later(distill, "kd_temperature", {{"temperature", distill}}, teacher),
      later(distill, "beta", {}, "preference training and distillation"),
      later(distill, "lmbda", {}, teacher),
      later(distill, "seq_kd", {}, teacher),
  };
}

std::vector<RecipeKey> foreign() {
  const std::string own = "hearth tokenises on all ranks and decides this itself";
  const std::string parallel =
      "is another program's file; state zero_stage, tensor_parallel_size, "
      "pipeline_parallel_size and data_shard_size in the section parallel instead";
  RecipeKey registry = refused(RecipeSection::data, "dataset_dir", {},
                               "folder of another tool's dataset_info.json; its names become inline datasets");
  registry.field.read = registry_folder;
  return {
      registry,
      later(RecipeSection::train, "fp16", {}, "training in half precision", "write dtype: bf16 or dtype: f32"),
      refused(RecipeSection::train, "max_steps_per_epoch", {},
              "counts steps within an epoch, which no key does here; state max_steps or max_samples"),
      refused(RecipeSection::output, "saves_per_epoch", {}, "counts saves, not steps; state save_steps"),
      refused(RecipeSection::eval, "evals_per_epoch", {}, "counts evaluations, not steps; state eval_steps"),
      later(RecipeSection::eval, "panel", {}, "the forgetting panel"),
      later(RecipeSection::eval, "gate", {}, "limits that a run has to pass"),
      refused(RecipeSection::output, "wandb_*", {}, "sends data over the network, which hearth never does; remove it"),
      refused(RecipeSection::output, "overwrite_output_dir", {},
              "would destroy a run; remove the folder by hand or name another output_dir"),
      refused(RecipeSection::parallel, "deepspeed", {}, parallel),
      refused(RecipeSection::parallel, "fsdp_config", {"fsdp"}, parallel),
      without_effect("do_train", "the verb says what is done"),
      without_effect("overwrite_cache", "token stores are found by their content and never stale"),
      without_effect("dataloader_num_workers", own),
      without_effect("preprocessing_num_workers", own),
      without_effect("dataset_num_proc", own),
      without_effect("trust_remote_code", "code from a model folder is never run"),
      without_effect("ddp_timeout", "it works around tokenising on one rank, which hearth does not do"),
  };
}

}  // namespace

std::vector<RecipeKey> later_keys() {
  std::vector<RecipeKey> keys;
  for (auto part : {later_methods, later_data, later_privacy_and_distill, foreign}) {
    for (RecipeKey& key : part()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace hearth
