#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/arena.h"
#include "base/counted.h"
#include "base/dtype.h"
#include "base/parameter.h"
#include "base/sha384.h"
#include "base/utf8.h"
#include "support/worse.h"

namespace hearth {
namespace {

TEST(Counted, OneIsSingular) {
  EXPECT_EQ(counted(1, "row"), "1 row");
  EXPECT_EQ(counted(0, "row"), "0 rows");
  EXPECT_EQ(counted(2, "data rank"), "2 data ranks");
  EXPECT_EQ(counted(1, "microbatch"), "1 microbatch");
  EXPECT_EQ(counted(12, "microbatch"), "12 microbatches");
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(Bf16(1.0F).bits, 0x3f80);
  EXPECT_EQ(Bf16(1.0F + 0x1p-8F).bits, 0x3f80);            // half way, down to even
  EXPECT_EQ(Bf16(1.0F + 0x1p-7F + 0x1p-8F).bits, 0x3f82);  // half way, up to even
  EXPECT_EQ(Bf16(1.0F + 0x1p-8F + 0x1p-20F).bits, 0x3f81);
  EXPECT_EQ(Bf16(std::numeric_limits<float>::max()).bits, 0x7f80);  // infinity
  EXPECT_TRUE(std::isnan(static_cast<float>(Bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(F16, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    F16 half;
    half.bits = static_cast<std::uint16_t>(bits);
    const float value = static_cast<float>(half);
    if (std::isnan(value)) continue;
    EXPECT_EQ(F16(value).bits, half.bits) << bits;
  }
  EXPECT_EQ(F16(65519.0F).bits, 0x7bff);
  EXPECT_EQ(F16(65520.0F).bits, 0x7c00);
  EXPECT_EQ(F16(0x1p-25F).bits, 0);         // half way, down to even
  EXPECT_EQ(F16(1.5F * 0x1p-24F).bits, 2);  // half way, up to even
  EXPECT_EQ(F16(1.0F + 0x1p-11F).bits, 0x3c00);
}

TEST(Tensor, SlicesAndReshapes) {
  std::array<float, 24> values{};
  const Tensor whole(values.data(), Dtype::f32, {4, 6});
  const Tensor rows = whole.row_slice(1, 2);
  EXPECT_EQ(rows.row<float>(0), values.data() + 6);
  const Tensor columns = whole.column_slice(2, 4);
  EXPECT_EQ(columns.row<float>(3), values.data() + 20);
  EXPECT_FALSE(columns.unpitched());
  EXPECT_EQ(columns.as({4, 2, 2}).row<float>(1), values.data() + 8);
  EXPECT_THROW(columns.as({2, 8}), Error);
  EXPECT_THROW(static_cast<void>(columns.span<float>()), Error);
  EXPECT_THROW(static_cast<void>(whole.typed<double>()), Error);
  EXPECT_THROW(whole.row_slice(3, 2), Error);
  EXPECT_EQ(whole.as({2, 12}).row<float>(1), values.data() + 12);
}

TEST(Arena, ReusesMemoryOnceWarm) {
  HostMemory memory;
  Arena arena(memory);
  const auto step = [&] {
    const Scratch scope(arena);
    for (int i = 1; i < 20; ++i) arena.take(Dtype::f32, {1000 * i});
  };
  step();
  step();
  const auto warm = memory.takes();
  step();
  EXPECT_EQ(memory.takes(), warm);
  EXPECT_GE(arena.largest(), 190 * 1000 * sizeof(float));
}

TEST(Arena, WhatIsReservedIsAllThatIsTaken) {
  HostMemory memory;
  Arena arena(memory);
  const std::size_t needed =
      Arena::room(Dtype::f32, {1000}) + Arena::room(Dtype::bf16, {31, 3}) + Arena::room(Dtype::u8, {0});
  EXPECT_EQ(needed, 4032U + 192U + 64U);
  arena.reserve(needed);
  EXPECT_EQ(memory.now(), needed);
  {
    const Scratch scope(arena);
    arena.take(Dtype::f32, {1000});
    arena.take(Dtype::bf16, {31, 3});
    arena.take(Dtype::u8, {0});
    EXPECT_EQ(arena.largest(), needed);
    EXPECT_THROW(arena.reserve(1), Error) << "something is in use";
  }
  arena.reserve(needed / 2);
  EXPECT_EQ(memory.takes(), 1U) << "there was enough already";
  arena.reserve(2 * needed);
  EXPECT_EQ(memory.now(), 2 * needed);
  EXPECT_EQ(memory.peak(), 2 * needed) << "old and new were held together";
}

TEST(Memory, CountsPeak) {
  HostMemory memory;
  {
    const Buffer a(memory, 1024);
    Buffer b(memory, 64);
    const Buffer c = std::move(b);
    EXPECT_EQ(memory.now(), 1088U);
  }
  EXPECT_EQ(memory.now(), 0U);
  EXPECT_EQ(memory.peak(), 1088U);
}

TEST(Sha384, KnownAnswers) {  // FIPS 180-4 examples
  EXPECT_EQ(sha384("abc"),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
  EXPECT_EQ(sha384(""),
            "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b");
}

TEST(Utf8, FindsWhatIsInvalid) {
  EXPECT_FALSE(first_invalid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  EXPECT_EQ(first_invalid_utf8("ab\xFF"), 2U);
  EXPECT_EQ(first_invalid_utf8("\xC0\xAF"), 0U);          // overlong
  EXPECT_EQ(first_invalid_utf8("x\xED\xA0\x80"), 1U);     // surrogate
  EXPECT_EQ(first_invalid_utf8("\xF4\x90\x80\x80"), 0U);  // above U+10FFFF
  EXPECT_EQ(first_invalid_utf8("ok\xE2\x82"), 2U);        // cut
  std::string text;
  for (const std::uint32_t c : {0x41U, 0xE9U, 0x20ACU, 0x1F600U}) append_utf8(text, c);
  std::size_t at = 0;
  for (const std::uint32_t c : {0x41U, 0xE9U, 0x20ACU, 0x1F600U}) EXPECT_EQ(next_utf8(text, at), c);
  EXPECT_EQ(at, text.size());
}

TEST(Parameter, InitialValuesDependOnNameSeedAndIndexOnly) {
  Parameter p{.name = "a", .full = {8, 4}, .law = {Law::Kind::normal, 0.02F}};
  const float value = initial_value(p, Key(1), 5);
  p.cut = Cut::rows;
  p.pieces = 2;
  EXPECT_EQ(initial_value(p, Key(1), 5), value);
  EXPECT_NE(initial_value(p, Key(2), 5), value);
  p.name = "b";
  EXPECT_NE(initial_value(p, Key(1), 5), value);
}

/// Every element of `full`, counted by how often the stretches of all pieces, taken in parts of `step`, name it.
std::vector<int> named(const Parameter& p, std::int64_t step) {
  std::vector<int> times(static_cast<std::size_t>(p.full.elements()), 0);
  for (int piece = 0; piece < p.pieces; ++piece) {
    const std::int64_t held = piece_dims(p).elements();
    std::vector<bool> seen(static_cast<std::size_t>(held), false);
    for (std::int64_t begin = 0; begin < held; begin += step) {
      const Interval part{begin, std::min(begin + step, held)};
      for (const HeldStretch& s : stretches_of(p, piece, part)) {
        for (std::int64_t i = 0; i < s.full.rows; ++i) {
          for (std::int64_t j = 0; j < s.full.columns; ++j) {
            const std::int64_t here = s.at + i * s.pitch + j;
            EXPECT_TRUE(here >= part.begin && here < part.end && !seen[static_cast<std::size_t>(here)]);
            seen[static_cast<std::size_t>(here)] = true;
            const std::int64_t there = s.full.begin + i * s.full.stride + j;
            ++times[static_cast<std::size_t>(there)];
            // The same row and column in the piece as in `full`, but for where the piece begins.
            const std::int64_t row = piece_dims(p).row_elements();
            const std::int64_t full_row = p.full.row_elements();
            const std::int64_t from = piece_extent(p, piece).begin;
            EXPECT_EQ(there / full_row, here / row + (p.cut == Cut::rows ? from : 0));
            EXPECT_EQ(there % full_row, here % row + (p.cut == Cut::columns ? from : 0));
          }
        }
      }
    }
  }
  return times;
}

TEST(Parameter, PiecesTileItHoweverTheyAreTakenApart) {
  for (const Cut cut : {Cut::none, Cut::rows, Cut::columns}) {
    for (const Dims& full : {Dims{7, 5}, Dims{8, 6}, Dims{1, 3}, Dims{3, 1}}) {
      for (int pieces = 1; pieces <= (cut == Cut::none ? 1 : 4); ++pieces) {
        const Parameter p{.name = "p", .full = full, .cut = cut, .pieces = pieces};
        for (std::int64_t step = 1; step <= 12; ++step) {
          for (const int times : named(p, step)) ASSERT_EQ(times, 1) << full.text() << " in " << pieces;
        }
      }
    }
  }
}

TEST(Parameter, HoldersOfAPieceAreNeighbours) {
  const Parameter p{.name = "p", .full = {3, 4}, .cut = Cut::rows, .pieces = 2};
  std::vector<int> pieces, first;
  for (int rank = 0; rank < 4; ++rank) {
    pieces.push_back(piece_of(p, rank, 4));
    first.push_back(is_first_holder(p, rank, 4) ? 1 : 0);
  }
  EXPECT_EQ(pieces, (std::vector{0, 0, 1, 1}));
  EXPECT_EQ(first, (std::vector{1, 0, 1, 0}));
  EXPECT_EQ(piece_dims(p), (Dims{2, 4}));
  EXPECT_EQ(piece_extent(p, 1), (Interval{2, 3}));  // and a row of zeros
}

TEST(Worse, WhatIsNoNumberStays) {
  EXPECT_EQ(test::worse(1, 2), 2);
  EXPECT_EQ(test::worse(2, 1), 2);
  EXPECT_FALSE(test::worse(0, std::nan("")) < 1e9);
  EXPECT_FALSE(test::worse(std::nan(""), 0) < 1e9);
}

}  // namespace
}  // namespace hearth
