// Holds that a statement is refused with a kind and with words in the message.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace hearth::test {

/// The text of the Error that `action` throws; fails the test when it throws none, or one of another kind.
template <class Action>
std::string refusal(Action&& action, Kind kind = Kind::data) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.text();
    return error.text();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

}  // namespace hearth::test
