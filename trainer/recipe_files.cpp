// The files that a recipe names, looked at before anything is started.
#include <fmt/format.h>
#include <glob.h>

#include "trainer/recipe_resolve.h"

namespace hearth {
namespace {

bool is_there(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

bool is_folder(const Path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

bool matches_something(const std::string& pattern) {
  glob_t found{};
  const bool some = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0 && found.gl_pathc > 0;
  globfree(&found);
  return some;
}

void check_datasets(RecipeDraft& draft, const std::string& key, const std::vector<Recipe::Dataset>& datasets) {
  for (const Recipe::Dataset& dataset : datasets) {
    if (is_there(dataset.path)) continue;
    const bool pattern = dataset.path.find_first_of("*?[") != std::string::npos;
    if (pattern && matches_something(dataset.path)) continue;
    draft.complain(key, fmt::format("{}: {} `{}`{}", key, pattern ? "nothing matches" : "there is no file or folder",
                                    dataset.path, pattern ? "" : " (seen from the current folder)"));
  }
}

void check_model_folder(RecipeDraft& draft) {
  if (!draft.recipe.model.model_name_or_path) return;
  const Path folder = *draft.recipe.model.model_name_or_path;
  const std::string key = "model_name_or_path";
  if (!is_folder(folder)) {
    draft.complain(key, fmt::format("{}: `{}` is no folder here (hearth downloads nothing; fetch the model first)", key,
                                    folder.string()));
  } else if (!is_there(folder / "config.json") && !is_there(folder / "run.json")) {
    draft.complain(key, fmt::format("{}: `{}` holds no config.json, and no run of hearth", key, folder.string()));
  }
}

void check_tokenizer(RecipeDraft& draft) {
  if (!draft.recipe.model.tokenizer_name_or_path) return;
  const Path place = *draft.recipe.model.tokenizer_name_or_path;
  if (is_folder(place) ? is_there(place / "tokenizer.json") : is_there(place)) return;
  draft.complain("tokenizer_name_or_path",
                 fmt::format("tokenizer_name_or_path: `{}` is {}", place.string(),
                             is_folder(place) ? "a folder without tokenizer.json" : "no file or folder here"));
}

void check_output(RecipeDraft& draft) {
  const Recipe::Output& output = draft.recipe.output;
  for (const auto& [key, place] :
       {std::pair("output_dir", output.output_dir), std::pair("cache_dir", draft.recipe.data.cache_dir)}) {
    if (!place.empty() && is_there(place) && !is_folder(place)) {
      draft.complain(key, fmt::format("{}: `{}` is a file, not a folder", key, place));
    }
  }
  const std::string& from = output.resume_from_checkpoint;
  if (from != "auto" && from != "none" && !is_there(from)) {
    draft.complain("resume_from_checkpoint", fmt::format("resume_from_checkpoint: there is no `{}`", from));
  }
}

}  // namespace

void check_files(RecipeDraft& draft) {
  check_model_folder(draft);
  check_tokenizer(draft);
  check_datasets(draft, "datasets", draft.recipe.data.datasets);
  check_datasets(draft, "eval_dataset", draft.recipe.data.eval_dataset);
  if (draft.recipe.eval.domain_qa && !is_there(draft.recipe.eval.domain_qa->path)) {
    draft.complain("domain_qa", fmt::format("domain_qa: there is no file `{}`", draft.recipe.eval.domain_qa->path));
  }
  check_output(draft);
}

}  // namespace hearth
