// What a run says of itself before it begins, to the terminal and to its report.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "trainer/report.h"
#include "trainer/run_settled.h"

namespace hearth {

/// Lines for a person: the model, the ranks, the rows; of a pipeline also its bubble.
std::vector<std::string> introduction(const Recipe& recipe, const StartFacts& facts, const Dataset& data);
/// Title, model and mesh; the rest is left empty.
ReportFacts report_facts(const Recipe& recipe, const StartFacts& facts);

}  // namespace hearth
