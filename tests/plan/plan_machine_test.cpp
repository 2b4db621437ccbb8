// Machine descriptions: what ships can be read, what is wrong is named, what is measured can be used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "plan/plans.h"
#include "support/shared.h"
#include "trainer/machine_measure.h"

namespace hearth {
namespace {

using testing::HasSubstr;

std::string complaint_about(const std::string& yaml) {
  try {
    parse_machine(yaml, "m.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::usage);
    return error.text();
  }
  return "";
}

TEST(Machine, WhatShipsCanBeReadAndIsOfThisWorld) {
  for (const char* name : {"h100", "h200"}) {
    const Machine machine = test::shipped(name);
    EXPECT_EQ(machine.name, name);
    EXPECT_EQ(machine.device, Machine::Device::cuda);
    for (const Dtype dtype : {Dtype::bf16, Dtype::f32}) {
      EXPECT_LT(machine.products.at(dtype), machine.peaks.at(dtype)) << "nothing reaches its data sheet";
      EXPECT_LT(machine.attention.at(dtype).forward, machine.products.at(dtype));
    }
    EXPECT_GT(machine.inside.gather, machine.across.gather);
    EXPECT_GT(machine.bandwidth, machine.inside.gather);
  }
  EXPECT_GT(test::shipped("h200").memory, test::shipped("h100").memory);
}

TEST(Machine, IsReadBackAsItWasWritten) {
  Machine machine = test::shipped("h100");
  machine.hides_reduces = false;
  const std::string text = to_yaml(machine, "two\nlines");
  EXPECT_THAT(text, HasSubstr("# two\n# lines\n"));
  const Machine again = parse_machine(text, "m.yaml");
  EXPECT_EQ(to_yaml(again, ""), to_yaml(machine, ""));
  EXPECT_FALSE(again.hides_reduces);
  EXPECT_TRUE(again.hides_gathers);
  EXPECT_FALSE(again.bf16_products);
  for (const Bf16Products way : {Bf16Products::native, Bf16Products::widened}) {
    machine.bf16_products = way;
    EXPECT_EQ(parse_machine(to_yaml(machine, ""), "m.yaml").bf16_products, way);
  }
  EXPECT_THAT(complaint_about(text + "bf16_products: fast\n"), HasSubstr("`fast`; native or widened is expected"));
}

TEST(Machine, EveryMistakeIsNamedAtOnce) {
  std::string text = to_yaml(test::shipped("h100"), "");
  const auto change = [&](const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  };
  change("bandwidth: 3e+12", "bandwith: 3e+12");
  change("node: 8", "node: eight");
  change("device: cuda", "device: tpu");
  change("gathers: true", "gathers: maybe");
  const std::string complaint = complaint_about(text);
  EXPECT_THAT(complaint, HasSubstr("m.yaml describes no machine"));
  EXPECT_THAT(complaint, HasSubstr("bandwith: no such key; did you mean bandwidth?"));
  EXPECT_THAT(complaint, HasSubstr("the file has no bandwidth"));
  EXPECT_THAT(complaint, HasSubstr("node: `eight`; a number"));
  EXPECT_THAT(complaint, HasSubstr("device: `tpu`; cpu or cuda"));
  EXPECT_THAT(complaint, HasSubstr("hides.gathers: `maybe`"));
  EXPECT_THAT(complaint_about("just text"), HasSubstr("a map is expected"));
  EXPECT_THAT(complaint_about("a: [1"), HasSubstr("not YAML"));
  EXPECT_THROW(read_machine("nothing/there.yaml"), Error);
}

TEST(Machine, NumbersThatAreNoneAreRefused) {
  for (const char* bad : {"-1", "0", "nan", "inf", "1e999", "3 TB", "[1]", ""}) {
    std::string text = to_yaml(test::shipped("h100"), "");
    const std::size_t at = text.find("bandwidth: ");
    text.replace(at, text.find("   #", at) - at, std::string("bandwidth: ") + bad);
    EXPECT_THAT(complaint_about(text), HasSubstr("bandwidth")) << bad;
  }
}

TEST(Links, InsideANodeAndAcross) {
  Machine machine;
  machine.node = 8;
  machine.inside = {100, 50, 0.25};
  machine.across = {5, 2, 1};
  EXPECT_EQ(gather_seconds(machine, 1000, 1, 1), 0);
  EXPECT_DOUBLE_EQ(gather_seconds(machine, 1000, 8, 1), 7 * 1000 / 100.0 + 7 * 0.25);
  EXPECT_DOUBLE_EQ(reduce_seconds(machine, 1000, 8, 1), 7 * 1000 / 50.0 + 7 * 0.25);
  // Four nodes of eight: 24 ranks' bytes come in over eight links.
  EXPECT_DOUBLE_EQ(gather_seconds(machine, 1000, 32, 1), 24 * 1000 / 40.0 + 7 * 0.25 + 3);
  // One rank a node, because its neighbours are of another axis.
  EXPECT_DOUBLE_EQ(gather_seconds(machine, 1000, 4, 8), 3 * 1000 / 5.0 + 3);
  EXPECT_DOUBLE_EQ(message_seconds(machine, 1000, 1), 10 + 0.25);
  EXPECT_DOUBLE_EQ(message_seconds(machine, 1000, 8), 200 + 1);
}

TEST(Machine, ThisHostCanBeMeasured) {
  const auto alone = make_self_communicator();
  const auto backend = make_cpu_backend({.threads = 1});
  const Machine machine = measure_machine(*alone, *backend, 1e9);
  EXPECT_EQ(machine.device, Machine::Device::cpu);
  for (const double rate :
       {machine.products.at(Dtype::f32), machine.products.at(Dtype::bf16), machine.bandwidth, machine.inside.gather,
        machine.inside.reduce, machine.attention.at(Dtype::f32).forward, machine.attention.at(Dtype::bf16).backward}) {
    EXPECT_TRUE(std::isfinite(rate));
    EXPECT_GT(rate, 1e6);
    EXPECT_LT(rate, 1e15);
  }
  EXPECT_GT(machine.op, 0);
  EXPECT_LT(machine.op, 1e-2);
  const Machine again = parse_machine(to_yaml(machine, "measured"), "host.yaml");
  EXPECT_EQ(to_yaml(again, ""), to_yaml(machine, ""));
}

}  // namespace
}  // namespace hearth
