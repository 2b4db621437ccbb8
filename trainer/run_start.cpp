#include "trainer/run_start.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/sha384.h"
#include "trainer/metrics.h"
#include "trainer/run_folder.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

/// Whether a run has only been prepared, or ended over its data, before its first step.
bool nothing_trained(const Path& folder) {
  if (!checkpoints(folder).empty()) return false;
  const Path log = folder / "trainer_log.jsonl";
  if (!std::filesystem::exists(log)) return true;
  const auto records = read_metrics(log);
  return std::none_of(records.begin(), records.end(), [](const StepRecord& record) { return record.step > 0; });
}

Recipe recipe_of(const RunRecord& record, const Path& folder) {
  return parse_recipe(record.recipe, (folder / "run.json").string(), {}, RecipeFiles::unchecked);
}

/// A run may go on with other logging or more steps, not with another mathematics. Before its first step it may still
/// become another run. True: it goes on, false: it becomes another.
bool goes_on(const Recipe& recipe, const Recipe& before) {
  std::vector<std::string> lines;
  for (const Difference& d : forbidden_changes(before, recipe)) {
    lines.push_back(fmt::format("  {}: was {}, is now {}", d.key, d.before.empty() ? "not set" : d.before,
                                d.now.empty() ? "not set" : d.now));
  }
  if (lines.empty()) return true;
  const Path folder = recipe.output.output_dir;
  if (nothing_trained(folder)) return false;
  fail(Kind::usage,
       "{} holds a run of another recipe; these keys may not change while a run goes on:\n{}\nTo go on with "
       "that run put them back as they were; to begin a new one name another output_dir (--set output_dir=FOLDER)",
       recipe.output.output_dir, fmt::join(lines, "\n"));
}

/// "5", or what stands for it.
std::string steps_text(const Recipe& recipe) {
  if (recipe.train.max_steps) return fmt::format("max_steps: {}", *recipe.train.max_steps);
  return fmt::format("num_train_epochs: {}", recipe.train.num_train_epochs);
}

/// Held against the recipe that began it, a run goes on or takes another recipe; then the vocabulary made for it goes too.
void settle_recipe(const Recipe& recipe, const RunRecord& record, std::vector<std::string>& notes) {
  const Path folder = recipe.output.output_dir;
  const Recipe before = recipe_of(record, folder);
  if (!goes_on(recipe, before)) {
    std::error_code ignored;
    std::filesystem::remove_all(folder / "tokenizer", ignored);
    notes.push_back(
        fmt::format("{} was prepared with another recipe and nothing was trained: it takes this one", folder.string()));
  } else if (steps_text(before) != steps_text(recipe) && !checkpoints(folder).empty()) {
    notes.push_back(
        fmt::format("this run was begun with {} and goes on with {}: from here on the learning rate is that "
                    "of the longer run",
                    steps_text(before), steps_text(recipe)));
  }
}

/// Whether `resume_from_checkpoint: none` may begin in this folder.
void refuse_started(const Path& folder) {
  if (checkpoints(folder).empty()) return;
  fail(Kind::usage,
       "{} holds a started run and the recipe says resume_from_checkpoint: none; use another output_dir, or "
       "resume_from_checkpoint: auto",
       folder.string());
}

/// After a rank was killed, mpirun can return before the others are gone: their lock gets a few seconds to go too.
std::unique_ptr<RunLock> lock_of(const Path& folder) {
  for (int tries = 0;; ++tries) {
    try {
      return std::make_unique<RunLock>(folder);
    } catch (const Error& error) {
      if (error.kind() != Kind::machine || tries == 6) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

/// Done by the first rank alone: a checkpoint, or nothing.
std::optional<Path> checkpoint_to_continue(const Recipe& recipe, const Path& folder, std::vector<std::string>& notes) {
  const std::string& wish = recipe.output.resume_from_checkpoint;
  if (wish == "none") {
    refuse_started(folder);
    return std::nullopt;
  }
  if (wish == "auto" || !checkpoints(folder).empty())
    return newest_verified(folder, notes);  // begun from `wish` already
  if (step_of(wish) || std::filesystem::exists(Path(wish) / "MANIFEST.json")) {
    const CheckpointReader named(wish);  // compares every digest
    return named.path();
  }
  const auto newest = newest_verified(wish, notes);
  if (!newest)
    fail(Kind::data, "resume_from_checkpoint: {} holds no checkpoint: name a run's folder, or its step-N", wish);
  return newest;
}

/// What the first rank does while the others wait.
RunStart take_folder(const Recipe& recipe, const std::string& program) {
  RunStart start;
  const Path folder = recipe.output.output_dir;
  const std::optional<RunRecord> record = make_run_folder(folder);
  start.lock = lock_of(folder);
  if (!start.lock->note().empty()) start.notes.push_back(start.lock->note());
  if (record) settle_recipe(recipe, *record, start.notes);
  start.checkpoint = checkpoint_to_continue(recipe, folder, start.notes);
  if (record && !start.checkpoint) {
    start.notes.push_back(fmt::format("{} holds a run without a checkpoint yet: it begins at step 0", folder.string()));
  }
  RunRecord now = {resolved_yaml(recipe), program, record ? record->created : ""};
  if (start.checkpoint && record) {
    start.record = std::move(now);
  } else {
    write_run_record(folder, now);
  }
  return start;
}

}  // namespace

void agree(Communicator& world, const std::string& text, const std::string& otherwise) {
  const std::string digest = sha384(text);
  std::vector<std::uint8_t> mine(digest.begin(), digest.end());
  std::vector<std::uint8_t> all(mine.size() * static_cast<std::size_t>(world.size()));
  const auto bytes = static_cast<std::int64_t>(mine.size());
  world.gather(Tensor(mine.data(), Dtype::u8, {bytes}), Tensor(all.data(), Dtype::u8, {bytes * world.size()})).wait();
  for (int rank = 1; rank < world.size(); ++rank) {
    if (std::equal(all.begin(), all.begin() + bytes, all.begin() + rank * bytes)) continue;
    fail_everywhere(Kind::usage, "rank 0 and rank {} {}", rank, otherwise);
  }
}

void check_start(const Recipe& recipe) {
  const Path folder = recipe.output.output_dir;
  const std::optional<RunRecord> record = look_at_run_folder(folder);
  if (record) goes_on(recipe, recipe_of(*record, folder));
  if (recipe.output.resume_from_checkpoint == "none") refuse_started(folder);
}

RunStart start_run(const Recipe& recipe, Communicator& world, const std::string& program) {
  agree(world, resolved_yaml(recipe), "were given different recipes: start every rank with the same command and file");
  RunStart start;
  const Together together = together_of(world);
  all_or_none(together, [&] {
    if (world.rank() == 0) start = take_folder(recipe, program);
  });
  const std::string told = together.gather(start.checkpoint ? start.checkpoint->string() : "").front();
  if (!told.empty()) start.checkpoint = told;
  return start;
}

}  // namespace hearth
