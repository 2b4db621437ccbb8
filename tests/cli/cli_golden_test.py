"""Five AdamW steps of every dense architecture through `train`, against transformers in float64.

Bounds: those that the known answers state for f32 (losses 1e-5, each weight's change 1e-2 in relative L2; norms 1e-4,
as docs/numerics.md). bf16 rounds to eight bits, u = 2^-9; d = 12 L + 4 roundings on the way of the residual are off by
u sqrt(d), three times as many in backward, single ones by four times that; a loss averages over many tokens and
inherits the errors of the moved weights.
"""

import pathlib
import sys

import cli_known as known
import cli_support as cli
from cli_tensors import read_tensors


class FiveSteps(known.KnownTest):
    def test_give_the_known_losses_norms_and_weights(self):
        for name in known.DENSE:
            expected = read_tensors(known.golden / name / "expected.safetensors")
            batch = self.rows("rows.jsonl", expected, range(known.STEPS))
            self.rows("first.jsonl", expected, [0])
            whole = {"per_device_train_batch_size": batch, "global_batch_size": batch}
            for dtype in ("f32", "bf16"):
                with self.subTest(name, dtype=dtype):
                    run = f"{name}-{dtype}"
                    self.compare(name, dtype, expected, self.trained(name, dtype, output_dir=run, **whole))
                    if dtype == "f32":
                        self.compare_weights(name, expected, run)
                with self.subTest(name, dtype=dtype, ranks=2):
                    self.compare(name, dtype, expected,
                                 self.trained(name, dtype, output_dir=f"{run}-2", ranks=2, global_batch_size=batch))

    def test_architectures_of_later_are_refused_by_name(self):
        folders = {path.name for path in known.golden.iterdir() if path.is_dir()}
        self.assertLessEqual(set(known.DENSE), folders)
        self.assertLessEqual(folders, {*known.DENSE, *known.SPARSE})
        self.write("rows.jsonl", '{"input_ids": [1, 2, 3]}\n')
        for name in folders & known.SPARSE.keys():
            recipe = self.recipe(model_name_or_path=known.golden / name, datasets="rows.jsonl", packing="none")
            self.refused(3, known.SPARSE[name], "train", recipe, leaves=("run",))


if __name__ == "__main__":
    known.golden = pathlib.Path(sys.argv.pop(1)).resolve()
    cli.main()
