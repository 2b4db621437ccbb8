// Saved on one mesh, read on any other: what the tensor axis cuts by columns lies in rectangles, and nobody notices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/random.h"
#include "checkpoint/by_name.h"
#include "checkpoint/mesh_scene.h"
#include "parallel/thread_world.h"
#include "support/shared.h"

namespace hearth::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Every mesh of 1, 2, 3, 4 and 6 ranks.
std::vector<MeshSize> meshes() {
  std::vector<MeshSize> list;
  for (const int ranks : {1, 2, 3, 4, 6}) {
    for (int tensor = 1; tensor <= ranks; ++tensor) {
      if (ranks % tensor == 0) list.push_back({tensor, ranks / tensor});
    }
  }
  return list;
}

std::string name_of(MeshSize mesh) {
  return "tensor " + std::to_string(mesh.tensor) + ", data " + std::to_string(mesh.data);
}

// Failures D1, D3 and D10 of other programs: state by rank and not by name, cuts in the names, a share not written.
TEST(CheckpointMesh, saved_on_any_mesh_read_on_any_other) {
  const MeshScene scene(21);
  for (const MeshSize from : meshes()) {
    for (const std::uint64_t cuts : {0U, 1U, 2U}) {
      const Folder folder;
      const SaveResult saved = scene.save_from(from, folder.path(), 20, cuts);
      ASSERT_TRUE(saved.committed) << saved.text;
      const CheckpointReader reader(saved.folder);
      EXPECT_EQ(reader.manifest().elements(), scene.elements());
      EXPECT_EQ(reader.names().size(), scene.parameters(1).size());
      for (const Parameter& parameter : scene.parameters(1)) {
        EXPECT_EQ(reader.dims(parameter.name), parameter.full) << parameter.name;
      }
      for (const MeshSize to : meshes()) {
        ASSERT_TRUE(scene.is_read_by(to, cuts + 1, reader)) << name_of(from) << " -> " << name_of(to);
      }
    }
  }
}

TEST(CheckpointMesh, every_byte_of_a_part_is_its_rank_s_own) {
  const MeshScene scene(22);
  const MeshSize mesh{4, 1};
  const Folder folder;
  const SaveResult saved = scene.save_from(mesh, folder.path(), 1, 0);
  const CheckpointReader reader(saved.folder);
  std::int64_t elements = 0;
  for (int rank = 0; rank < mesh.ranks(); ++rank) {
    const MeshScene::Owned owned = scene.owned(rank, mesh, 0);
    std::int64_t mine = 0;
    for (const SavedPiece& piece : owned.pieces) mine += piece.place.elements();
    std::int64_t listed = 0;
    for (const auto& [name, entry] : reader.manifest().tensors) {
      for (const Manifest::Piece& piece : entry.pieces) listed += piece.part == rank ? piece.place.elements() : 0;
    }
    EXPECT_EQ(listed, mine) << rank;
    elements += mine;
  }
  EXPECT_EQ(elements, scene.elements());
}

TEST(CheckpointMesh, python_reads_whole_parameters_whatever_the_cut) {
  const MeshScene scene(23);
  std::map<std::string, Dims> dims;
  for (const Parameter& parameter : scene.parameters(1)) dims[parameter.name] = parameter.full;
  for (const MeshSize mesh : {MeshSize{3, 2}, MeshSize{4, 1}}) {
    const Folder folder;
    const SaveResult saved = scene.save_from(mesh, folder.path(), 9, 5);
    ASSERT_TRUE(saved.committed) << saved.text;
    EXPECT_TRUE(python_reads_by_name(saved.folder, dims, scene.values())) << name_of(mesh);
  }
}

TEST(CheckpointMesh, the_version_is_2_only_where_rectangles_are) {
  const MeshScene scene(24);
  const Folder folder;
  const auto version_of = [&](MeshSize mesh) {
    const SaveResult saved = scene.save_from(mesh, folder.path(), mesh.tensor, 0);
    const std::string text = read_text(saved.folder / "MANIFEST.json");
    const std::string key = "\"version\": ";
    return text.substr(text.find(key) + key.size(), 1);
  };
  EXPECT_EQ(version_of({1, 3}), "1") << "one piece by columns is whole rows";
  EXPECT_EQ(version_of({2, 2}), "2");
}

TEST(CheckpointMesh, replicated_pieces_are_saved_once_and_refused_twice) {
  const Parameter parameter{.name = "columns", .full = {4, 6}, .cut = Cut::columns, .pieces = 2};
  const MeshScene scene(25);
  const Folder folder;
  const auto save = [&](bool all_holders) {
    std::vector<std::string> texts(4);
    ThreadWorld(4).run([&](Communicator& world) {
      const int rank = world.rank();
      std::vector<float> matrix(12, static_cast<float>(piece_of(parameter, rank, 4)));
      std::vector<SavedPiece> pieces;
      for (const HeldStretch& held : stretches_of(parameter, piece_of(parameter, rank, 4), {0, 12})) {
        if (!all_holders && !is_first_holder(parameter, rank, 4)) continue;
        const Tensor tensor(matrix.data() + held.at, Dtype::f32, {held.full.rows, held.full.columns});
        pieces.push_back({parameter.name, parameter.full, held.full, tensor, {}, {}});
      }
      const auto work = [&] { save_checkpoint(world, folder.path(), scene.values().state(1), pieces, {}, {}); };
      if (all_holders) {
        EXPECT_EQ(kind_of(work, &texts[static_cast<std::size_t>(rank)]), Kind::internal);
      } else {
        EXPECT_NO_THROW(work());
      }
    });
    return texts;
  };
  for (const std::string& text : save(true)) {
    EXPECT_THAT(text,
                HasSubstr("the overlapping 4 rows of 3 from 0, 6 apart and 4 rows of 3 from 0, 6 apart of columns"));
  }
  EXPECT_THAT(checkpoints(folder.path()), IsEmpty());
  save(false);
  const CheckpointReader reader(folder.path() / "step-1");
  std::vector<float> row(6);
  reader.read(Role::weight, "columns", 18, 24, row.data());
  EXPECT_THAT(row, ElementsAre(0, 0, 0, 1, 1, 1));
}

TEST(CheckpointMesh, a_tensor_has_the_rows_and_columns_of_its_place) {
  std::vector<float> matrix(64);
  const Folder folder;
  const auto self = make_self_communicator();
  const auto save = [&](const Stretch& place, Dims dims, std::int64_t pitch) {
    Tensor tensor(matrix.data(), Dtype::f32, dims);
    tensor.pitch = pitch;
    const SavedPiece piece{"matrix", {4, 6}, place, tensor, {}, {}};
    std::string text;
    const auto work = [&] {
      save_checkpoint(*self, folder.path(), Scene(1).state(1), std::span<const SavedPiece>(&piece, 1), {}, {});
    };
    EXPECT_EQ(kind_of(work, &text), Kind::internal);
    return text;
  };
  const Stretch place{0, 4, 3, 6};
  const std::string good = "12 of 24 elements";  // the tensor is right; the rest of the parameter is nobody's
  const std::string wrong = "(rows, columns)";
  EXPECT_THAT(save(place, {4, 3}, 3), HasSubstr(good));
  EXPECT_THAT(save(place, {4, 3}, 9), HasSubstr(good));
  EXPECT_THAT(save(place, {4, 3}, 2), HasSubstr(wrong));
  EXPECT_THAT(save(place, {3, 4}, 4), HasSubstr(wrong));
  EXPECT_THAT(save(place, {12}, 1), HasSubstr(wrong));
  EXPECT_THAT(save(place, {4, 2}, 6), HasSubstr(wrong));
  EXPECT_THAT(save({6, 1, 12, 0}, {12}, 1), HasSubstr(good));
  EXPECT_THAT(save({6, 1, 12, 0}, {1, 12}, 99), HasSubstr(good));
  EXPECT_THAT(save({6, 1, 12, 0}, {12, 1}, 2), HasSubstr(wrong));
  EXPECT_THAT(save({4, 4, 3, 6}, {4, 3}, 3), HasSubstr("lies within its parameter"));
  EXPECT_THAT(save({0, 5, 3, 6}, {5, 3}, 3), HasSubstr("lies within its parameter"));
}

/// A parameter of 90 x 24 in pieces of every kind, and what reads it.
class Mixture : public testing::Test {
 protected:
  static constexpr std::int64_t rows = 90;
  static constexpr std::int64_t columns = 24;

  Mixture() {
    for (std::int64_t i = 0; i < rows * columns; ++i) whole_.push_back(static_cast<float>(i));
    // The end of a row, a rectangle on either side, whole rows, a row cut in three, the rest.
    add({0, 1, 30, 0});
    add({30, 1, 18, 0});
    add({48, 40, 7, 24});
    add({55, 40, 17, 24});
    add({1008, 1, 240, 0});
    for (const std::int64_t begin : {1248, 1249, 1260}) add({begin, 1, begin == 1248 ? 1 : begin == 1249 ? 11 : 12, 0});
    add({1272, 1, rows * columns - 1272, 0});
    const auto self = make_self_communicator();
    const RunState state = Scene(1).state(1);
    EXPECT_TRUE(save_checkpoint(*self, folder_.path(), state, pieces_, {}, {}).committed);
    reader_ = std::make_unique<CheckpointReader>(folder_.path() / "step-1");
  }

  void add(const Stretch& place) {
    Tensor tensor(whole_.data() + place.begin, Dtype::f32, {place.rows, place.columns});
    if (place.rows > 1) tensor.pitch = place.stride;
    pieces_.push_back({"matrix", {rows, columns}, place, tensor, {}, {}});
  }

  /// Reads into rows that lie `apart` elements further from each other than they have to.
  void expect_read(const Stretch& wanted, std::int64_t apart) {
    const std::int64_t pitch = wanted.columns + apart;
    std::vector<float> out(static_cast<std::size_t>(wanted.rows * pitch + 1), -1);
    reader_->read(Role::weight, "matrix", wanted, out.data(), pitch);
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(out.size()); ++i) {
      const std::int64_t row = i / pitch;
      const bool inside = row < wanted.rows && i % pitch < wanted.columns;
      const auto expected = static_cast<float>(wanted.begin + row * wanted.stride + i % pitch);
      ASSERT_EQ(out[static_cast<std::size_t>(i)], inside ? expected : -1)
          << wanted.rows << " x " << wanted.columns << " from " << wanted.begin << ", " << wanted.stride
          << " apart, at " << i;
    }
  }

  std::int64_t calls_of(const Stretch& wanted) {
    const std::int64_t before = reader_->reads().calls;
    expect_read(wanted, 0);
    return reader_->reads().calls - before;
  }

  std::vector<float> whole_;
  std::vector<SavedPiece> pieces_;
  Folder folder_;
  std::unique_ptr<CheckpointReader> reader_;
};

TEST_F(Mixture, any_stretch_can_be_read) {
  const Key key = Key(7).with("wanted");
  std::uint64_t drawn = 0;
  const auto below = [&](std::int64_t bound) {
    return static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(bound), drawn++));
  };
  const std::vector<std::int64_t> strides = {24, 24, 24, 12, 8, 48, 720, 1, rows * columns};
  for (int i = 0; i < 4000; ++i) {
    const std::int64_t stride = strides[static_cast<std::size_t>(below(static_cast<std::int64_t>(strides.size())))];
    const std::int64_t height = rows * columns / stride;
    const std::int64_t row = below(height);
    const std::int64_t column = below(stride);
    Stretch wanted{row * stride + column, 1 + below(height - row), 1 + below(stride - column), stride};
    if (wanted.rows == 1) wanted.stride = 0;
    expect_read(wanted, below(3));
    if (HasFatalFailure()) return;
  }
}

TEST_F(Mixture, many_rows_are_one_call) {
  EXPECT_EQ(calls_of({48, 40, 7, 24}), 1) << "a piece as it lies there";
  EXPECT_EQ(calls_of({50, 30, 3, 24}), 1) << "columns of a piece";
  EXPECT_EQ(calls_of({48, 1, 960, 0}), 2) << "whole rows over two pieces";
  EXPECT_EQ(calls_of({1008, 10, 24, 24}), 1);
  EXPECT_EQ(calls_of({1010, 10, 5, 24}), 1) << "columns of whole rows";
  EXPECT_EQ(calls_of({60, 1, 1, 0}), 1);
  EXPECT_LE(calls_of({0, 90, 12, 24}), 16) << "every piece, and three times the contiguous ones that cut rows";
}

TEST_F(Mixture, what_does_not_exist_is_refused) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::int64_t least = std::numeric_limits<std::int64_t>::min();
  float out = 0;
  const auto refused = [&](const Stretch& wanted) {
    std::string text;
    EXPECT_EQ(kind_of([&] { reader_->read(Role::weight, "matrix", wanted, &out, 1); }, &text), Kind::data);
    EXPECT_THAT(text, HasSubstr("of matrix (90, 24) do not exist"));
  };
  for (const std::int64_t odd : {least, std::int64_t{-1}, most - 1, most}) {
    refused({odd, 1, 1, 0});
    refused({0, odd, 1, 24});
    refused({0, 1, odd, 0});
    refused({0, 2, odd, 24});
    refused({0, 2, 1, odd});
  }
  refused({0, 0, 1, 24});
  refused({0, 2, 0, 24});
  refused({0, 2, 1, 0});
  refused({0, 2, 25, 24});   // rows that overlap
  refused({20, 2, 5, 24});   // a row that goes on in the next
  refused({0, 2, 1, 23});    // no matrix of 23 columns
  refused({24, 90, 1, 24});  // a row too many
  refused({2159, 1, 2, 0});
  EXPECT_NO_THROW(reader_->read(Role::weight, "matrix", {2160, 1, 0, 0}, &out, 1)) << "nothing, at the end";
  EXPECT_EQ(kind_of([&] { reader_->read(Role::weight, "nothing", {0, 2, 1, 24}, &out, 1); }), Kind::data);
  EXPECT_EQ(kind_of([&] { reader_->read(Role::first_moment, "matrix", {0, 2, 1, 24}, &out, 1); }), Kind::data);
  EXPECT_EQ(reader_->reads().calls, 0);
}

TEST(CheckpointRows, long_rows_and_wide_gaps_are_read_one_by_one) {
  const std::int64_t width = 10000;  // 40 kB
  std::vector<float> whole(static_cast<std::size_t>(8 * width));
  for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<float>(i);
  const Folder folder;
  const auto self = make_self_communicator();
  const std::vector<SavedPiece> pieces = {
      {"wide", {8, width}, {0, 1, 8 * width, 0}, Tensor(whole.data(), Dtype::f32, {8 * width}), {}, {}}};
  ASSERT_TRUE(save_checkpoint(*self, folder.path(), Scene(1).state(1), pieces, {}, {}).committed);
  const auto read = [&](const Stretch& wanted, std::int64_t pitch) {
    const CheckpointReader reader(folder.path() / "step-1");
    std::vector<float> out(static_cast<std::size_t>(wanted.rows * pitch));
    reader.read(Role::weight, "wide", wanted, out.data(), pitch);
    for (std::int64_t i = 0; i < wanted.rows; ++i) {
      EXPECT_EQ(out[static_cast<std::size_t>(i * pitch + wanted.columns - 1)],
                whole[static_cast<std::size_t>(wanted.begin + i * wanted.stride + wanted.columns - 1)]);
    }
    return reader.reads();
  };
  const ReadCount few = read({5, 8, 10, width}, 10);
  EXPECT_EQ(few.calls, 8);
  EXPECT_EQ(few.bytes, 8 * 10 * 4) << "what lies between is more than another call is worth";
  const ReadCount most = read({0, 8, 9000, width}, 9000);
  EXPECT_EQ(most.calls, 1);
  EXPECT_EQ(most.bytes, (7 * width + 9000) * 4);
  const ReadCount all = read({0, 8, width, width}, width);
  EXPECT_EQ(all.calls, 1);
  const ReadCount pitched = read({0, 8, width, width}, width + 1);
  EXPECT_EQ(pitched.calls, 1);
  EXPECT_EQ(pitched.bytes, 8 * width * 4);
}

}  // namespace
}  // namespace hearth::test
