// What a run says of itself before it begins and where it breaks off, to the terminal and to its report.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "kernels/backend.h"
#include "trainer/model_on_mesh.h"
#include "trainer/report.h"
#include "trainer/run_settled.h"
#include "trainer/step.h"

namespace hearth {

/// Lines for a person: the model, the ranks, the rows; of a pipeline also its bubble.
std::vector<std::string> introduction(const Recipe& recipe, const StartFacts& facts, const Dataset& data);
/// The table of what the first rank will take, of the first stage; nothing is taken for it.
std::string memory_of(const StartFacts& facts, const Transformer& model, const PlacedOptions& placed,
                      bool asks_questions, Backend& backend);
/// Why a run stops over NaN or infinity after `steps` steps, and what to do. `saved`: whether there is a checkpoint.
std::string trouble_text(const Recipe& recipe, const Trouble& trouble, std::int64_t steps, bool saved);
/// Title, model and mesh; the rest is left empty.
ReportFacts report_facts(const Recipe& recipe, const StartFacts& facts);

}  // namespace hearth
