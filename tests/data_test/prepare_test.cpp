#include "data/prepare.h"

#include <gtest/gtest.h>
