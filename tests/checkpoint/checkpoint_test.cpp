// Saved by any number of ranks, read by anybody, bit for bit; and the rules of what is kept and what is refused.
#include "trainer/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <set>
#include <thread>

#include "base/random.h"
#include "checkpoint/by_name.h"
#include "checkpoint/scene.h"
#include "parallel/thread_world.h"
#include "support/shared.h"

namespace hearth::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Checkpoint, any_cut_reads_as_the_same_bits) {
  const Scene scene(1);
  for (const int ranks : {1, 2, 3, 6}) {
    for (const std::uint64_t cuts : {0U, 1U}) {
      const Folder folder;
      const auto results = scene.save_from(ranks, folder.path(), 20, cuts);
      for (const SaveResult& result : results) {
        ASSERT_TRUE(result.committed) << result.text;
        EXPECT_EQ(result.folder, folder.path() / "step-20");
        EXPECT_EQ(result.digest, results[0].digest);
        EXPECT_THAT(result.notes, IsEmpty());
      }
      const CheckpointReader reader(results[0].folder);
      EXPECT_EQ(reader.digest(), results[0].digest);
      EXPECT_EQ(reader.manifest().parts, ranks);
      EXPECT_TRUE(scene.is_in(reader, 20)) << ranks << " ranks, cuts " << cuts;
      EXPECT_THAT(leftovers(folder.path()), IsEmpty());
    }
  }
}

TEST(Checkpoint, any_range_of_elements_can_be_read) {
  const Scene scene(2);
  const Folder folder;
  scene.save_from(4, folder.path(), 1);
  const CheckpointReader reader(folder.path() / "step-1");
  const std::string name = "layers.0.mlp.experts";
  const std::int64_t elements = reader.dims(name).elements();
  const Key key = Key(7).with("ranges");
  for (std::uint64_t i = 0; i < 300; ++i) {
    auto begin = static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(elements) + 1, 2 * i));
    auto end = static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(elements) + 1, 2 * i + 1));
    if (begin > end) std::swap(begin, end);
    std::vector<float> out(static_cast<std::size_t>(end - begin) + 1, 123.0F);
    reader.read(Role::second_moment, name, begin, end, out.data());
    EXPECT_EQ(out.back(), 123.0F) << "wrote past the range";
    for (std::int64_t j = begin; j < end; ++j) {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(out[static_cast<std::size_t>(j - begin)]),
                std::bit_cast<std::uint32_t>(scene.value(Role::second_moment, name, j)));
    }
  }
  float one = 0;
  EXPECT_EQ(kind_of([&] { reader.read(Role::weight, name, 0, elements + 1, &one); }), Kind::data);
  EXPECT_EQ(kind_of([&] { reader.read(Role::weight, name, -1, 0, &one); }), Kind::data);
  EXPECT_EQ(kind_of([&] { reader.read(Role::weight, name, 2, 1, &one); }), Kind::data);
  EXPECT_EQ(kind_of([&] { reader.read(Role::weight, "nothing", 0, 1, &one); }), Kind::data);
}

TEST(Checkpoint, weights_alone_say_that_no_run_goes_on) {
  const Scene scene(3, false);
  const Folder folder;
  scene.save_from(2, folder.path(), 5);
  const CheckpointReader reader(folder.path() / "step-5");
  EXPECT_FALSE(reader.has_moments());
  EXPECT_TRUE(scene.is_in(reader, 5));
  std::string text;
  float one = 0;
  EXPECT_EQ(kind_of([&] { reader.read(Role::first_moment, "scale", 0, 1, &one); }, &text), Kind::data);
  EXPECT_THAT(text, HasSubstr("save_only_model"));
}

TEST(Checkpoint, carried_files_come_back) {
  const Scene scene(4);
  const Folder folder;
  scene.save_from(2, folder.path(), 5);
  const CheckpointReader reader(folder.path() / "step-5");
  EXPECT_THAT(reader.carried_names(), ElementsAre("config.json", "empty", "recipe.yaml"));
  EXPECT_EQ(reader.carried("config.json"), "{\"model_type\": \"llama\"}\n");
  EXPECT_EQ(reader.carried("empty"), "");
  EXPECT_EQ(reader.carried("tokenizer.json"), std::nullopt);
  EXPECT_EQ(reader.carried("checkpoint.h5"), std::nullopt);
}

TEST(Checkpoint, a_manifest_names_its_parent) {
  const Scene scene(5);
  const Folder folder;
  const SaveResult first = scene.save_from(1, folder.path(), 1)[0];
  SaveOptions options;
  options.parent = first.digest;
  const auto self = make_self_communicator();
  ASSERT_TRUE(scene.save(*self, folder.path(), 2, options).committed);
  EXPECT_EQ(CheckpointReader(folder.path() / "step-2").manifest().parent, first.digest);
  EXPECT_EQ(read_text(folder.path() / "LATEST"), "step-2\n");
}

TEST(Checkpoint, equal_saves_are_equal_files) {
  const Scene scene(6);
  const Folder one;
  const Folder other;
  scene.save_from(2, one.path(), 3);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5 knows whole seconds
  scene.save_from(2, other.path(), 3);
  const CheckpointReader a(one.path() / "step-3");
  const CheckpointReader b(other.path() / "step-3");
  for (const auto& [name, file] : a.manifest().files)
    EXPECT_EQ(file.sha384, b.manifest().files.at(name).sha384) << name;
}

TEST(Checkpoint, python_reads_a_parameter_by_name) {
  const Scene scene(7);
  const Folder folder;
  scene.save_from(3, folder.path(), 9, 5);
  EXPECT_TRUE(python_reads_by_name(folder.path() / "step-9", scene.dims(), scene));
}

TEST(Checkpoint, sha384sum_knows_the_manifest) {
  const Scene scene(8);
  const Folder folder;
  scene.save_from(1, folder.path(), 9);
  const std::string command =
      "cd " + folder.path().string() + "/step-9 && sha384sum --check --strict --status MANIFEST.sha384";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(Checkpoint, a_step_that_exists_is_replaced_whole) {
  const Scene before(9);
  const Scene after(10);
  const Folder folder;
  before.save_from(3, folder.path(), 20);
  ASSERT_TRUE(after.save_from(1, folder.path(), 20)[0].committed);
  EXPECT_TRUE(after.is_in(CheckpointReader(folder.path() / "step-20"), 20));
  EXPECT_THAT(leftovers(folder.path()), IsEmpty());
}

TEST(Checkpoint, the_newest_that_verifies_is_taken) {
  const Scene scene(11);
  const Folder folder;
  std::vector<std::string> complaints;
  EXPECT_EQ(newest_verified(folder.path(), complaints), std::nullopt);
  EXPECT_EQ(newest_verified(folder.path() / "missing", complaints), std::nullopt);
  EXPECT_THAT(complaints, IsEmpty());
  for (const std::int64_t step : {2, 9, 10}) scene.save_from(2, folder.path(), step);
  EXPECT_EQ(newest_verified(folder.path(), complaints), folder.path() / "step-10");
  EXPECT_THAT(complaints, IsEmpty());

  std::filesystem::resize_file(folder.path() / "step-10" / part_name(1, 2), 100);
  std::filesystem::create_directory(folder.path() / ".step-12.99-1.tmp");
  EXPECT_EQ(newest_verified(folder.path(), complaints), folder.path() / "step-9");
  EXPECT_THAT(complaints,
              ElementsAre(HasSubstr(".step-12.99-1.tmp"), HasSubstr("part-00001-of-00002.h5 has 100 bytes")));

  complaints.clear();
  std::filesystem::remove_all(folder.path() / "step-10");
  EXPECT_EQ(newest_verified(folder.path(), complaints), folder.path() / "step-9");
  EXPECT_THAT(complaints, ElementsAre(HasSubstr("unfinished"), HasSubstr("LATEST names step-10")));

  std::filesystem::remove(folder.path() / "step-9" / "config.json");
  std::filesystem::create_directory(folder.path() / "step-2" / "more");
  std::string text;
  EXPECT_EQ(kind_of([&] { newest_verified(folder.path(), complaints); }, &text), Kind::integrity);
  EXPECT_THAT(text, HasSubstr("none verifies"));
  EXPECT_THAT(text, HasSubstr("config.json is missing"));
}

TEST(Checkpoint, an_unfinished_save_is_cleaned_by_the_next) {
  const Scene scene(12);
  const Folder folder;
  std::filesystem::create_directories(folder.path() / ".step-12.99-1.tmp" / "more");
  scene.save_from(2, folder.path(), 13);
  EXPECT_THAT(leftovers(folder.path()), IsEmpty());
}

TEST(Checkpoint, pruning_keeps_two_that_are_good) {
  const Scene scene(13);
  const Folder folder;
  const auto self = make_self_communicator();
  SaveOptions options;
  options.limit = 1;  // counts as two
  const auto steps = [&] {
    std::vector<std::int64_t> found;
    for (const Path& path : checkpoints(folder.path())) found.push_back(*step_of(path));
    return found;
  };
  for (const std::int64_t step : {8, 9, 10}) ASSERT_TRUE(scene.save(*self, folder.path(), step, options).committed);
  EXPECT_THAT(steps(), ElementsAre(9, 10));
  std::filesystem::resize_file(folder.path() / "step-10" / "checkpoint.h5", 10);
  const SaveResult result = scene.save(*self, folder.path(), 11, options);
  ASSERT_TRUE(result.committed);
  EXPECT_THAT(result.notes, ElementsAre(HasSubstr("step-10 is not counted")));
  EXPECT_THAT(steps(), ElementsAre(9, 10, 11)) << "step-10 is broken: step-9 is the second good one";
  ASSERT_TRUE(scene.save(*self, folder.path(), 12, options).committed);
  EXPECT_THAT(steps(), ElementsAre(11, 12));
  options.limit = 3;
  ASSERT_TRUE(scene.save(*self, folder.path(), 13, options).committed);
  ASSERT_TRUE(scene.save(*self, folder.path(), 14, options).committed);
  EXPECT_THAT(steps(), ElementsAre(12, 13, 14));
  EXPECT_THAT(leftovers(folder.path()), IsEmpty());
}

TEST(Checkpoint, only_step_names_count) {
  EXPECT_EQ(step_of("x/step-0"), 0);
  EXPECT_EQ(step_of("x/step-120/"), 120);
  for (const char* name : {"step-", "step-01", "step-1a", "step--1", ".step-1.2.tmp", "step-99999999999999999999"}) {
    EXPECT_EQ(step_of(name), std::nullopt) << name;
  }
}

TEST(Checkpoint, an_element_has_exactly_one_owner) {
  const Scene scene(14);
  const Folder folder;
  const auto self = make_self_communicator();
  const auto save = [&](auto change) {
    Scene::Owned owned = scene.owned(0, 1);
    change(owned.pieces);
    std::string text;
    EXPECT_EQ(kind_of([&] { save_checkpoint(*self, folder.path(), scene.state(1), owned.pieces, {}, {}); }, &text),
              Kind::internal);
    EXPECT_THAT(leftovers(folder.path()), IsEmpty());
    return text;
  };
  EXPECT_THAT(save([](auto& pieces) { pieces.push_back(pieces[0]); }), HasSubstr("saves an element once"));
  EXPECT_THAT(save([](auto& pieces) {
                pieces[0].place.columns -= 1;
                for (Tensor* tensor : {&pieces[0].weight, &pieces[0].first_moment, &pieces[0].second_moment}) {
                  *tensor = tensor->row_slice(0, tensor->rows() - 1);
                }
              }),
              HasSubstr("216 of 217 elements of embedding"));
  EXPECT_THAT(save([](auto& pieces) { pieces[0].weight = pieces[0].weight.row_slice(0, 3); }),
              HasSubstr("(rows, columns)"));
  EXPECT_THAT(save([](auto& pieces) { pieces[1].second_moment = {}; }), HasSubstr("f32"));
  EXPECT_THAT(save([](auto& pieces) { pieces[1].name = "a/b"; }), HasSubstr("plain name"));
  EXPECT_THAT(checkpoints(folder.path()), IsEmpty());
}

TEST(Checkpoint, a_parameter_that_no_rank_saves_is_missed_at_once) {
  const Scene scene(16);
  const Folder folder;
  const auto self = make_self_communicator();
  const Scene::Owned owned = scene.owned(0, 1);
  SaveOptions options;
  std::set<std::string> names;
  for (const SavedPiece& piece : owned.pieces) names.insert(piece.name);
  options.parameters.assign(names.begin(), names.end());
  const auto save = [&] { save_checkpoint(*self, folder.path(), scene.state(1), owned.pieces, {}, options); };
  std::string text;
  options.parameters.emplace_back("layers.9.mlp.up");
  EXPECT_EQ(kind_of(save, &text), Kind::internal);
  EXPECT_THAT(text, HasSubstr("no rank saves the parameter layers.9.mlp.up"));
  options.parameters.resize(options.parameters.size() - 2);
  EXPECT_EQ(kind_of(save, &text), Kind::internal);
  EXPECT_THAT(checkpoints(folder.path()), IsEmpty());
  EXPECT_THAT(leftovers(folder.path()), IsEmpty());
  options.parameters.assign(names.begin(), names.end());
  save();
  EXPECT_EQ(checkpoints(folder.path()).size(), 1);
}

TEST(Checkpoint, overlapping_owners_on_two_ranks_fail_on_both) {
  const Scene scene(15);
  const Folder folder;
  std::vector<Kind> kinds(2, Kind::usage);
  ThreadWorld(2).run([&](Communicator& world) {
    const Scene::Owned all = scene.owned(0, 1);
    kinds[static_cast<std::size_t>(world.rank())] =
        kind_of([&] { save_checkpoint(world, folder.path(), scene.state(1), all.pieces, {}, {}); });
  });
  EXPECT_THAT(kinds, ElementsAre(Kind::internal, Kind::internal));
  EXPECT_THAT(checkpoints(folder.path()), IsEmpty());
}

TEST(Checkpoint, a_missing_folder_fails_the_save_on_every_rank) {
  const Scene scene(16);
  const Folder folder;
  for (const SaveResult& result : scene.save_from(3, folder.path() / "missing", 1)) {
    EXPECT_FALSE(result.committed);
    EXPECT_EQ(result.kind, Kind::storage);
    EXPECT_THAT(result.text, HasSubstr("No such file"));
  }
}

}  // namespace
}  // namespace hearth::test
