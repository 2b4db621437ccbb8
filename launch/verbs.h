// The verbs of hearth. Each takes the words behind its name and returns an exit code, or throws.
#pragma once

#include <string>
#include <vector>

#include "launch/bootstrap.h"

namespace hearth {

using Words = std::vector<std::string>;

/// Finds the verb named by the first word and runs it on the rest; --help and --version too.
int run_verb(const Words& words, Environment& environment);

int verb_prepare(const Words& words, Environment& environment);
int verb_train(const Words& words, Environment& environment);
int verb_verify(const Words& words, Environment& environment);
int verb_eval(const Words& words, Environment& environment);
int verb_generate(const Words& words, Environment& environment);
int verb_export(const Words& words, Environment& environment);
int verb_tokenize(const Words& words, Environment& environment);
int verb_plan(const Words& words, Environment& environment);
int verb_probe(const Words& words, Environment& environment);
int verb_inspect(const Words& words, Environment& environment);
int verb_recipe(const Words& words, Environment& environment);

}  // namespace hearth
