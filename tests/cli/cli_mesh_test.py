"""The known answers of every dense architecture through the executable, on each axis and on several at once.

Bounds: those that the known answers state for f32. Logits and loss 2e-6 (of the largest logit; relative), each gradient
1e-5 in relative L2, losses of five AdamW steps 1e-5, each weight's change 1e-2. A mesh gets no more than one rank does:
its sums are taken in another order and are as long.
"""

import math
import pathlib
import sys

import cli_known as known
import cli_support as cli
from cli_tensors import read_tensors, write_tensors

THREE_HEADS = ("llama-tied", "llama3-rope-scaling")  # which a tensor axis of 2 cannot cut


def tensor_size(name):
    return 3 if name in THREE_HEADS else 2


def meshes(name):
    """What is asked for, and on how many ranks."""
    t = tensor_size(name)
    return [({"tensor_parallel_size": t}, t), ({"pipeline_parallel_size": 2}, 2), ({"context_parallel_size": 2}, 2),
            ({"tensor_parallel_size": t, "pipeline_parallel_size": 2, "zero_stage": 3}, 4 * t)]


def largest_error(mine, expected):
    return cli.worst(abs(a - b) for a, b in zip(mine, expected)) / max(map(abs, expected))


def l2_error(mine, expected):
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(mine, expected)) / math.fsum(b * b for b in expected))


class KnownAnswers(known.KnownTest):
    def inputs(self, expected):
        """Batch 0 and the packed row, each with the prefix of its known answers."""
        batch = {key: expected[key].rows(known.STEPS)[0] for key in ("input_ids", "labels")}
        packed = {key: expected[f"packed.{key}"] for key in ("input_ids", "labels", "document_starts")}
        for prefix, tensors in (("", batch), ("packed.", packed)):
            path = self.folder / f"{prefix}input"
            write_tensors(path, tensors)
            yield prefix, path

    def compare_probe(self, name, keys, ranks, prefix, path, expected):
        output = self.folder / "output"
        self.good("probe", known.golden / name, "--input", path, "--output", output, "--gradients",
                  *cli.settings({"dtype": "f32", "threads_per_rank": 1, **keys}), ranks=ranks)
        mine = read_tensors(output)
        logits = largest_error(mine["logits"].values, expected[f"{prefix}logits"].values)
        loss = known.relative(mine["loss"].values[0], expected[f"{prefix}loss"].values[0])
        wanted = {key.removeprefix(prefix): tensor for key, tensor in expected.items()
                  if key.startswith(f"{prefix}gradient.")}
        reduced = not any(key.startswith("train.weight.") for key in expected)
        self.assertTrue(wanted or (prefix and reduced), "only the reduced set lacks gradients, of packed rows")
        if wanted:
            self.assertEqual({key for key in mine if key.startswith("gradient.")}, wanted.keys())
        errors = {key: l2_error(mine[key].values, tensor.values) for key, tensor in wanted.items()}
        print(f"{name:<20} {ranks} ranks {prefix or 'batch'} {keys}: logits {logits:.1e} loss {loss:.1e} "
              f"gradients {max(errors.values(), default=0):.1e} (allowed 2e-6, 2e-6, 1e-5)")
        self.assertLess(logits, 2e-6)
        self.assertLess(loss, 2e-6)
        for key, error in errors.items():
            self.assertLess(error, 1e-5, key)

    def test_probe_gives_them_on_every_axis(self):
        for name in known.DENSE:
            expected = read_tensors(known.golden / name / "expected.safetensors")
            for prefix, path in self.inputs(expected):
                for keys, ranks in meshes(name):
                    with self.subTest(name, input=path.name, **keys):
                        self.compare_probe(name, keys, ranks, prefix, path, expected)

    def test_five_steps_on_data_tensor_and_pipe(self):
        for name in known.DENSE:
            expected = read_tensors(known.golden / name / "expected.safetensors")
            batch = self.rows("rows.jsonl", expected, range(known.STEPS))
            self.rows("first.jsonl", expected, [0])
            t = tensor_size(name)
            with self.subTest(name):
                records = self.trained(name, "f32", output_dir=name, ranks=4 * t, global_batch_size=batch,
                                       threads_per_rank=1, tensor_parallel_size=t, pipeline_parallel_size=2)
                self.compare(name, "f32", expected, records)
                self.compare_weights(name, expected, name)


if __name__ == "__main__":
    known.golden = pathlib.Path(sys.argv.pop(1)).resolve()
    cli.main()
