// Sums over ranks against one addition after the other, for any number of addends.
#include "parallel/ordered_sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"

namespace hearth {
namespace {

constexpr std::size_t guard = 16;  // elements after the last

template <class T>
std::vector<T> values(std::uint64_t seed, std::size_t count) {
  std::uint64_t state = Key(3).word(seed);
  std::vector<T> result(count + guard, static_cast<T>(77));
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    result[i] = static_cast<T>(static_cast<float>(static_cast<double>(state >> 40) * std::exp2(state >> 32 & 0xfU)));
  }
  return result;
}

template <class T>
class OrderedSum : public testing::Test {
 public:
  using Sum = std::conditional_t<std::is_same_v<T, Bf16>, float, T>;

  static T expected(const std::vector<std::vector<T>>& addends, const T* held, std::size_t i) {
    Sum sum = static_cast<Sum>(held != nullptr ? *held : addends[0][i]);
    for (std::size_t k = held != nullptr ? 0 : 1; k < addends.size(); ++k) sum += static_cast<Sum>(addends[k][i]);
    return static_cast<T>(sum);
  }

  /// `place`: which addend the sum is written over; none: memory of its own.
  static void check(std::size_t number, std::size_t count, Onto onto, std::size_t place, Stores stores) {
    std::vector<std::vector<T>> addends;
    addends.reserve(number);
    for (std::size_t k = 0; k < number; ++k) addends.push_back(values<T>(k, count));
    std::vector<T> own = values<T>(99, count);
    std::vector<T> wanted(count);
    for (std::size_t i = 0; i < count; ++i) wanted[i] = expected(addends, onto == Onto::held ? &own[i] : nullptr, i);
    std::vector<T>& out = place < number ? addends[place] : own;
    std::vector<const void*> pointers;
    for (const auto& addend : addends) pointers.push_back(addend.data());
    sum_in_rank_order(DtypeOf<T>::value, pointers, onto, static_cast<std::int64_t>(count), out.data(), stores);
    wanted.resize(count + guard, static_cast<T>(77));
    EXPECT_EQ(std::memcmp(out.data(), wanted.data(), wanted.size() * sizeof(T)), 0)
        << number << " addends of " << count << (onto == Onto::held ? ", held" : "") << ", over " << place;
  }
};

using Types = testing::Types<float, double, std::int64_t, Bf16>;
TYPED_TEST_SUITE(OrderedSum, Types);

TYPED_TEST(OrderedSum, IsOneAdditionAfterTheOther) {
  for (std::size_t number = 1; number <= 20; ++number) {
    for (const std::size_t count : {0, 1, 7, 64, 1023, 1025, 3001}) {
      for (const Onto onto : {Onto::nothing, Onto::held}) {
        for (const Stores stores : {Stores::cached, Stores::streamed}) this->check(number, count, onto, number, stores);
      }
    }
  }
}

TYPED_TEST(OrderedSum, MayBeWrittenOverAnyAddend) {
  for (const std::size_t number : {1U, 2U, 5U, 8U, 9U, 10U, 17U}) {
    for (std::size_t place = 0; place < number; ++place) {
      for (const Stores stores : {Stores::cached, Stores::streamed}) {
        this->check(number, 2049, Onto::nothing, place, stores);
      }
    }
  }
}

TYPED_TEST(OrderedSum, StreamsFromAnyElementOn) {
  const auto a = values<TypeParam>(1, 400);
  const auto b = values<TypeParam>(2, 400);
  for (std::size_t first = 0; first < 70; ++first) {
    for (const std::size_t count : {0, 1, 15, 33, 64, 200}) {
      std::vector<TypeParam> out(400, static_cast<TypeParam>(5));
      std::vector<TypeParam> wanted = out;
      const std::array<const void*, 2> addends{a.data() + first, b.data() + 2 * first};
      for (std::size_t i = 0; i < count; ++i) {
        using Wide = typename TestFixture::Sum;
        wanted[first + i] =
            static_cast<TypeParam>(static_cast<Wide>(a[first + i]) + static_cast<Wide>(b[2 * first + i]));
      }
      sum_in_rank_order(DtypeOf<TypeParam>::value, addends, Onto::nothing, static_cast<std::int64_t>(count),
                        out.data() + first, Stores::streamed);
      ASSERT_EQ(std::memcmp(out.data(), wanted.data(), out.size() * sizeof(TypeParam)), 0) << first << " " << count;
    }
  }
}

TEST(OrderedSumOfBf16, IsRoundedOnceAndKeepsNaN) {
  // 256 + 1 + 1 is 258 in f32; rounded after each addition it would stay 256.
  const Bf16 nan(std::numeric_limits<float>::quiet_NaN());
  const std::vector<Bf16> a(40, Bf16(256));
  std::vector<Bf16> b(40, Bf16(1));
  const std::vector<Bf16> c(40, Bf16(1));
  b[11] = nan;
  std::vector<Bf16> out(40);
  const std::array<const void*, 3> addends{a.data(), b.data(), c.data()};
  sum_in_rank_order(Dtype::bf16, addends, Onto::nothing, 40, out.data());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i == 11) {
      EXPECT_TRUE(std::isnan(static_cast<float>(out[i])));
    } else {
      EXPECT_EQ(static_cast<float>(out[i]), 258.0F);
    }
  }
}

}  // namespace
}  // namespace hearth
