"""One run that moves from mesh to mesh, what leaves it, and meshes that cannot be."""

import json

import cli_support as cli
from cli_known import relative
from cli_tensors import Tensor, write_tensors


class MeshTest(cli.CliTest):
    """Rows of odd lengths, which neither a tensor nor a context axis divides."""

    STEPS = 10

    def mesh_recipe(self, **keys):
        lengths = [3 + 5 * k % 23 for k in range(24)]
        self.assertTrue(any(length % 4 for length in lengths))
        self.write("rows.jsonl", "".join(
            json.dumps({"input_ids": [3 + (7 * t + k) % 500 for t in range(length)]}) + "\n"
            for k, length in enumerate(lengths)))
        return self.recipe(**{
            "datasets": "rows.jsonl", "packing": "none", "cutoff_len": None, "max_steps": self.STEPS, "save_steps": 100,
            "lr_scheduler_type": "constant", "global_batch_size": 4, "threads_per_rank": 1, **keys})


class OneRunOnManyMeshes(MeshTest):
    def records(self, run):
        lines = [json.loads(line) for line in (self.folder / run / "trainer_log.jsonl").read_text().splitlines()]
        return {line["current_steps"]: line for line in lines if "loss" in line}

    def moved(self, run, parts):
        """The run, ten steps long, each part of it on a mesh of its own."""
        for part, (keys, ranks) in enumerate(parts, 1):
            recipe = self.mesh_recipe(output_dir=run, max_steps=self.STEPS * part // len(parts), **keys)
            self.good("train", recipe, ranks=ranks)

    def test_moves_and_ends_as_if_it_had_stayed(self):
        self.good("train", self.mesh_recipe(output_dir="stayed"))
        self.moved("same-sums", [
            ({"pipeline_schedule": "interleaved"}, 2),  # a pipeline of one stage has nothing to schedule
            ({"pipeline_parallel_size": 2}, 4),
            ({"pipeline_parallel_size": 2, "pipeline_schedule": "zero_bubble", "zero_stage": 1}, 2),
            ({"data_shard_size": 2, "zero_stage": 2}, 4),
            ({"pipeline_parallel_size": 2, "pipeline_schedule": "interleaved", "zero_stage": 3}, 4)])
        self.assertEqual(self.weights("same-sums"), self.weights("stayed"))
        self.moved("moved", [
            ({}, 2), ({"tensor_parallel_size": 2}, 2), ({"pipeline_parallel_size": 2}, 4),
            ({"context_parallel_size": 2}, 2), ({}, 0)])
        stayed, moved = self.records("stayed"), self.records("moved")
        self.assertEqual(stayed.keys(), moved.keys())
        for step, record in stayed.items():
            self.assertLess(relative(moved[step]["loss"], record["loss"]), 1e-5, step)
            self.assertLess(relative(moved[step]["grad_norm"], record["grad_norm"]), 1e-4, step)

        # One checkpoint on any mesh: what leaves has the same bytes, and its held-out loss is the same.
        self.good("export", "moved", "--output", "alone")
        alone = cli.tree_of(self.folder / "alone")
        losses = {}
        for number, (keys, ranks) in enumerate([({}, 0), ({"pipeline_schedule": "interleaved"}, 2),
                                                ({"pipeline_schedule": "zero_bubble", "pipeline_chunks": 1}, 0), ({"pipeline_parallel_size": 2}, 2),
                                                ({"tensor_parallel_size": 2}, 2), ({"context_parallel_size": 2}, 2),
                                                ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, 8)]):
            with self.subTest(**keys, ranks=ranks):
                self.good("export", "moved", "--output", f"hf-{number}", *cli.settings(keys), ranks=ranks)
                self.assertEqual(cli.tree_of(self.folder / f"hf-{number}"), alone)
                answer = self.good("eval", "moved", "--data", "rows.jsonl", "--cutoff-len", 32, "--dtype", "f32",
                                   *cli.settings(keys), ranks=ranks)
                losses[str((keys, ranks))] = (json.loads(answer.out)["loss"], keys)
        first, _ = next(iter(losses.values()))
        for mesh, (loss, keys) in losses.items():
            same = not {"tensor_parallel_size", "context_parallel_size"} & keys.keys()
            self.assertLessEqual(relative(loss, first), 0 if same else 2e-6, mesh)


class Refused(MeshTest):
    """The model has 8 heads, 4 key-value heads and 5 layers, so 13 blocks."""

    def test_by_name_with_what_would_work(self):
        recipe = self.mesh_recipe()
        for ranks, says, keys in [
                (3, ["tensor_parallel_size: 3", "8 heads and 4 key-value heads", "2 or 4"],
                 {"tensor_parallel_size": 3}),
                (3, ["which does not divide 3 rank(s)", "2 or 4 ranks"], {"tensor_parallel_size": 2}),
                (4, ["data_shard_size: 3", "2 or 4 does"], {"data_shard_size": 3}),
                (4, ["pipeline_parallel_size: 4 with 4 chunks each", "13 blocks", "at most 3 stages"],
                 {"pipeline_parallel_size": 4, "pipeline_schedule": "interleaved", "pipeline_chunks": 4}),
                (2, ["pipeline_schedule: interleaved", "3 microbatches on 2 stages", "2 or 4 would"],
                 {"pipeline_parallel_size": 2, "pipeline_schedule": "interleaved", "global_batch_size": 3}),
                (1, ["expert_parallel_size: `2`", "leave it at 1"], {"expert_parallel_size": 2})]:
            with self.subTest(**keys):
                self.refused(2, says, "train", recipe, *cli.settings(keys), ranks=ranks,
                             leaves=("run", ".hearth-cache"))
        write_tensors(self.folder / "x", {"input_ids": Tensor([1, 2], 1, 2)})
        for verb in (["eval", cli.stories, "--data", "rows.jsonl"],
                     ["probe", cli.stories, "--input", "x", "--output", "y"]):
            self.refused(2, ["tensor_parallel_size: 3", "2 or 4"], *verb, "--set", "tensor_parallel_size=3", ranks=3)


if __name__ == "__main__":
    cli.main()
