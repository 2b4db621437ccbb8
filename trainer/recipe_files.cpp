// The files that a recipe names, looked at before anything is started.
#include <fmt/format.h>
#include <glob.h>

#include "trainer/recipe_resolve.h"

namespace hearth {
namespace {

enum class Seen { nothing, file, folder, closed };

/// What stands at a path; where that may not be looked at it is complained about here.
Seen look_at(RecipeDraft& draft, const std::string& key, const Path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error == std::errc::permission_denied) {
    draft.complain(key, fmt::format("{}: no permission to look at `{}`", key, path.string()), Kind::machine);
    return Seen::closed;
  }
  if (!std::filesystem::exists(status)) return Seen::nothing;
  return std::filesystem::is_directory(status) ? Seen::folder : Seen::file;
}

bool is_there(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) || error == std::errc::permission_denied;  // its reader says that
}

bool matches_something(const std::string& pattern) {
  glob_t found{};
  const bool some = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0 && found.gl_pathc > 0;
  globfree(&found);
  return some;
}

void check_datasets(RecipeDraft& draft, const std::string& key, const std::vector<Recipe::Dataset>& datasets) {
  for (const Recipe::Dataset& dataset : datasets) {
    if (look_at(draft, key, dataset.path) != Seen::nothing) continue;
    const bool pattern = dataset.path.find_first_of("*?[") != std::string::npos;
    const bool of_folders = dataset.path.find("**") != std::string::npos;  // not understood: whoever reads it says so
    if (pattern && (of_folders || matches_something(dataset.path))) continue;
    draft.complain(key,
                   fmt::format("{}: {} `{}` (seen from the current folder)", key,
                               pattern ? "nothing matches" : "there is no file or folder", dataset.path),
                   Kind::data);
  }
}

void check_model_folder(RecipeDraft& draft) {
  if (!draft.recipe.model.model_name_or_path) return;
  const Path folder = *draft.recipe.model.model_name_or_path;
  const std::string key = "model_name_or_path";
  const Seen seen = look_at(draft, key, folder);
  if (seen == Seen::closed) return;
  if (seen != Seen::folder) {
    draft.complain(key,
                   fmt::format("{}: `{}` is no folder here (hearth downloads nothing; fetch the model first)", key,
                               folder.string()),
                   Kind::data);
  } else if (!is_there(folder / "config.json") && !is_there(folder / "run.json")) {
    draft.complain(key, fmt::format("{}: `{}` holds no config.json, and no run of hearth", key, folder.string()),
                   Kind::data);
  }
}

void check_tokenizer(RecipeDraft& draft) {
  if (!draft.recipe.model.tokenizer_name_or_path) return;
  const Path place = *draft.recipe.model.tokenizer_name_or_path;
  const std::string key = "tokenizer_name_or_path";
  const Seen seen = look_at(draft, key, place);
  if (seen == Seen::closed || seen == Seen::file) return;
  if (seen == Seen::folder && is_there(place / "tokenizer.json")) return;
  draft.complain(key,
                 fmt::format("{}: `{}` is {}", key, place.string(),
                             seen == Seen::folder ? "a folder without tokenizer.json" : "no file or folder here"),
                 Kind::data);
}

void check_output(RecipeDraft& draft) {
  const Recipe::Output& output = draft.recipe.output;
  for (const auto& [key, place] :
       {std::pair("output_dir", output.output_dir), std::pair("cache_dir", draft.recipe.data.cache_dir)}) {
    if (!place.empty() && look_at(draft, key, place) == Seen::file) {
      draft.complain(key, fmt::format("{}: `{}` is a file, not a folder", key, place));
    }
  }
  const std::string& from = output.resume_from_checkpoint;
  const std::string key = "resume_from_checkpoint";
  if (from != "auto" && from != "none" && look_at(draft, key, from) == Seen::nothing) {
    draft.complain(key, fmt::format("{}: there is no `{}`", key, from), Kind::data);
  }
}

}  // namespace

void check_files(RecipeDraft& draft) {
  check_model_folder(draft);
  check_tokenizer(draft);
  check_datasets(draft, "datasets", draft.recipe.data.datasets);
  check_datasets(draft, "eval_dataset", draft.recipe.data.eval_dataset);
  if (draft.recipe.eval.domain_qa) {
    const std::string& path = draft.recipe.eval.domain_qa->path;
    if (look_at(draft, "domain_qa", path) == Seen::nothing) {
      draft.complain("domain_qa", fmt::format("domain_qa: there is no file `{}`", path), Kind::data);
    }
  }
  check_output(draft);
}

}  // namespace hearth
