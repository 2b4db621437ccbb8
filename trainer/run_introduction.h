// What a run says of itself before it begins and where it breaks off, to the terminal and to its report.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "trainer/report.h"
#include "trainer/run_settled.h"

namespace hearth {

/// Lines for a person: the model, the ranks, the rows; of a pipeline also its bubble.
std::vector<std::string> introduction(const Recipe& recipe, const StartFacts& facts, const Dataset& data);
/// What to do about NaN or infinity in a run that has done `steps` steps.
std::string advice_after_trouble(const Recipe& recipe, std::int64_t steps);
/// Title, model and mesh; the rest is left empty.
ReportFacts report_facts(const Recipe& recipe, const StartFacts& facts);

}  // namespace hearth
