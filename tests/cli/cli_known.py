"""Known answers of every dense architecture, and how AdamW steps of `train` are held against them."""

import json
import math
import pathlib

import cli_support as cli
from cli_tensors import read_tensors

DENSE = ["llama-gqa", "llama-tied", "llama3-rope-scaling", "mistral-window", "qwen2", "qwen2-yarn", "qwen3"]
SPARSE = {"qwen3-moe": "qwen3_moe", "deepseek-v3": "deepseek_v3"}  # and how config.json calls them
STEPS = 5
golden = pathlib.Path()  # the folder of the known models


def relative(mine, known):
    return abs(mine - known) / abs(known)


def change_error(mine, known, start):
    """The relative L2 error of how far a tensor moved."""
    off = math.fsum((a - b) ** 2 for a, b in zip(mine, known))
    way = math.fsum((b - c) ** 2 for b, c in zip(known, start))
    return math.sqrt(off / way)


class KnownTest(cli.CliTest):
    def rows(self, name, expected, batches):
        """The tokenised rows of some batches, in their order; returns the rows of a batch."""
        lines = []
        for batch in batches:
            ids, labels = (expected[key].rows(STEPS)[batch] for key in ("input_ids", "labels"))
            count = ids.dims[0]
            lines += [json.dumps({"input_ids": a.values, "labels": b.values}) + "\n"
                      for a, b in zip(ids.rows(count), labels.rows(count))]
        self.write(name, "".join(lines))
        return count

    def trained(self, name, dtype, **keys):
        """Trains in a folder of its own name; the lines of its log."""
        ranks = keys.pop("ranks", 0)
        recipe = self.recipe(**{
            "model_name_or_path": golden / name, "datasets": "rows.jsonl", "eval_dataset": "first.jsonl",
            "packing": "none", "shuffle": "false", "cutoff_len": None, "dtype": dtype, "max_steps": STEPS,
            "learning_rate": "2.0e-3", "lr_scheduler_type": "constant", "weight_decay": 0.1, "adam_beta1": 0.9,
            "adam_beta2": 0.95, "adam_epsilon": "1.0e-8", "max_grad_norm": 1.0, "save_steps": STEPS, **keys})
        self.good("train", recipe, ranks=ranks)
        run = self.folder / keys["output_dir"]
        return [json.loads(line) for line in (run / "trainer_log.jsonl").read_text().splitlines()]

    def compare(self, name, dtype, expected, records):
        layers = json.loads((golden / name / "config.json").read_text())["num_hidden_layers"]
        u, depth = 2.0 ** -9, 12 * layers + 4
        loss_bound, norm_bound = (1e-5, 1e-4) if dtype == "f32" else (4 * u, 4 * u * math.sqrt(3 * depth))
        steps = [record for record in records if "loss" in record]
        self.assertEqual([record["current_steps"] for record in steps], [1, 2, 3, 4, 5])
        for key, known, bound in [("loss", "train.losses", loss_bound),
                                  ("grad_norm", "train.gradient_norms", norm_bound)]:
            errors = [relative(record[key], value) for record, value in zip(steps, expected[known].values)]
            print(f"{name:<20} {dtype:<4} {key:<9} {max(errors):.1e}  (allowed {bound:.1e})")
            for step, error in enumerate(errors, 1):
                self.assertLess(error, bound, f"{key} of step {step}")
        self.assertEqual(records[0]["current_steps"], 0)
        first_bound = 2e-6 if dtype == "f32" else u  # nothing has moved yet
        self.assertLess(relative(records[0]["eval_loss"], expected["loss"].values[0]), first_bound)
        self.assertLess(relative(records[-1]["eval_loss"], expected["train.loss_after"].values[0]), loss_bound)

    def compare_weights(self, name, expected, run):
        known = {key.removeprefix("train.weight."): tensor.values for key, tensor in expected.items()
                 if key.startswith("train.weight.")}
        if not known:  # the reduced set
            return
        self.good("export", run, "--output", f"{run}-hf")
        mine = read_tensors(self.folder / f"{run}-hf/model.safetensors")
        start = read_tensors(golden / name / "model.safetensors")
        self.assertEqual(mine.keys(), known.keys())
        errors = {key: change_error(mine[key].values, values, start[key].values) for key, values in known.items()}
        print(f"{name:<20} f32  change    {max(errors.values()):.1e}  (allowed 1.0e-02)")
        for key, error in errors.items():
            self.assertLess(error, 1e-2, key)
