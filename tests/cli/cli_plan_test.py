"""plan: what a run needs, for every recipe of the tree and for a config.json alone, without starting anything."""

import json
import re

import cli_support as cli

LLAMA_8B = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
            "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": False}


class Recipes(cli.CliTest):
    def test_every_recipe_of_the_tree(self):
        recipes = sorted((cli.source / "recipes").glob("*.yaml"))
        self.assertGreaterEqual(len(recipes), 3)
        for recipe in recipes:
            sets = []
            if "model_name_or_path" in recipe.read_text().split("model_config")[0]:
                sets = ["--set", f"model_name_or_path={cli.stories}"]
            answer = self.good("plan", recipe, *sets)
            for part in ("memory of a rank", "moments", "together", "a step takes"):
                self.assertIn(part, answer.out, answer)
            self.assertNotIn("does not do", answer.out, answer)
        self.assertEqual(cli.tree_of(self.folder), {}, "a plan leaves nothing behind")

    def test_a_mesh_of_data_ranks(self):
        recipe = self.recipe(zero_stage=2, global_batch_size=8)
        answer = self.good("plan", recipe, "--mesh", "data=4")
        self.assertIn("data 4: ZeRO 2", answer.out, answer)
        self.assertIn("data x context: gradients, norm", answer.out, answer)

    def test_the_mesh_of_the_recipe(self):
        recipe = self.recipe(pipeline_parallel_size=2, pipeline_schedule="interleaved", global_batch_size=4,
                             per_device_train_batch_size=1, sum_order="fast")
        answer = self.good("plan", recipe)
        self.assertIn("pipe 2: ZeRO 0, interleaved (2 chunks)", answer.out, answer)
        self.assertIn("= (p - 1) / (v m + p - 1), p = 2, m = 4, v = 2", answer.out, answer)
        odd = self.good("plan", recipe, "--set", "global_batch_size=3")
        self.assertIn("this does not do: pipeline_schedule: interleaved with 3 microbatches", odd.out, odd)


class Configs(cli.CliTest):
    def setUp(self):
        super().setUp()
        self.config = self.write("config.json", json.dumps(LLAMA_8B))

    def test_alone_it_is_enough(self):
        answer = self.good("plan", self.config, "--ranks", "16", "--device-memory", "80")
        self.assertIn("8030261248 parameters", answer.out, answer)
        self.assertIn("meshes do", answer.out, answer)
        times = [float(t) for t in re.findall(r"^ +([0-9.]+) s +", answer.out, re.M)]
        self.assertEqual(times, sorted(times), answer)
        self.assertIn("as keys of a recipe", answer.out, answer)
        whole = self.good("plan", self.folder, "--ranks", "16", "--all")
        self.assertEqual(len(re.findall(r"^  .*(?:pipe|data|context|tensor) \d+.*: .", whole.out, re.M)), 35, whole)

    def test_one_mesh(self):
        answer = self.good("plan", self.config, "--mesh", "pipe=2,data=2,tensor=2", "--machine", "h200")
        for part in ("pipe 2 x data 2 x tensor 2", "stage 0", "stage 1", "tensor: rows", "bubble of 1f1b", "on h200"):
            self.assertIn(part, answer.out, answer)

    def test_what_does_not_do_is_said(self):
        self.assertIn("this does not do: tensor_parallel_size: 3: this model has 32 heads",
                      self.good("plan", self.config, "--mesh", "tensor=3").out)
        answer = self.good("plan", self.config, "--mesh", "data=1", "--device-memory", "24")
        self.assertRegex(answer.out, r"does not do: needs \d+ GiB of 24 GiB, most of it")
        answer = self.good("plan", self.config, "--ranks", "2", "--device-memory", "8")
        self.assertIn("0 of 4 meshes do", answer.out, answer)

    def test_refusals(self):
        for code, says, *words in [
                (2, "one of --ranks and --mesh", "--ranks", "2", "--mesh", "data=2"),
                (2, ["--mesh", "`dat=2`", "data=D"], "--mesh", "dat=2"),
                (2, "`0` is no number of ranks", "--ranks", "0"),
                (2, "`many` is no number of ranks", "--ranks", "many"),
                (2, "--device-memory", "--device-memory", "-1"),
                (2, ["no machine description at nothing.yaml", "hearth plan --measure"], "--machine", "nothing.yaml"),
                (2, "cutoff_len", "--set", "cutoff_len=no")]:
            self.refused(code, says, "plan", self.config, *words)
        self.write("broken.yaml", "name: x\nbandwith: 3\n")
        self.refused(2, ["broken.yaml describes no machine", "did you mean bandwidth?", "has no products"], "plan",
                     self.config, "--machine", "broken.yaml")
        self.refused(2, "the recipe cannot be read", "plan", "nothing.yaml")
        self.refused(2, "plan runs on one rank", "plan", self.config, ranks=2)
        self.refused(3, "config.json", "plan", "nothing.json")
        mixture = self.write("moe.json", json.dumps({**LLAMA_8B, "model_type": "qwen3_moe",
                                                     "architectures": ["Qwen3MoeForCausalLM"]}))
        self.refused(3, "mixtures of experts are not there yet", "plan", mixture)


HOST = """name: test
device: cpu
memory: 1e10
runtime: 0
peaks: {f32: 1e11, bf16: 1e11}
products: {f32: 1e11, bf16: 1e11}
attention:
  f32: {forward: 1e11, backward: 1e11, half_forward: 100, half_backward: 100}
  bf16: {forward: 1e11, backward: 1e11, half_forward: 100, half_backward: 100}
bandwidth: 1e10
op: 1e-6
node: 8
links:
  inside: {gather: 1e10, reduce: 1e10, latency: 1e-6}
  across: {gather: 1e10, reduce: 1e10, latency: 1e-6}
hides: {gathers: false, reduces: false}
"""

MESHES = [{"data": 1}, {"data": 2}, {"data": 4, "zero_stage": 2}, {"tensor": 2}, {"context": 2},
          {"pipe": 2, "pipeline_schedule": "zero_bubble"}, {"pipe": 2, "data": 2, "pipeline_schedule": "interleaved"},
          {"data": 2, "tensor": 2, "gradient_checkpointing": 1}, {"context": 2, "tensor": 2, "zero_stage": 1},
          {"pipe": 2, "tensor": 2, "dtype": "bf16"}, {"pipe": 2, "data": 2, "tensor": 2, "zero_stage": 3}]


class Runs(cli.CliTest):
    def test_the_peak_of_a_run_is_what_was_planned(self):
        """The first rank's, of two steps whose rows are full: within 3 %."""
        self.write("host.yaml", HOST)
        errors = {}
        for number, mesh in enumerate(MESHES):
            sizes = {axis: mesh.get(axis, 1) for axis in ("pipe", "data", "context", "tensor")}
            keys = {key: value for key, value in mesh.items() if key not in sizes}
            for axis, key in (("pipe", "pipeline_parallel_size"), ("context", "context_parallel_size"),
                              ("tensor", "tensor_parallel_size")):
                keys[key] = sizes[axis]
            recipe = self.recipe(cutoff_len=128, global_batch_size=8, max_steps=2, save_steps=2, threads_per_rank=1,
                                 output_dir=f"run{number}", **keys)
            words = ",".join(f"{axis}={size}" for axis, size in sizes.items())
            answer = self.good("plan", recipe, "--mesh", words, "--machine", "host", "--json")
            [plan] = json.loads(answer.out)["meshes"]
            self.assertIsNone(plan["refusal"], answer)
            self.good("train", recipe, "--progress", "none", ranks=plan["ranks"])
            log = (self.folder / f"run{number}/trainer_log.jsonl").read_text().splitlines()
            peak = max(json.loads(line).get("peak_memory", 0) for line in log) * 2**30
            errors[words] = plan["stages"][0]["together"] / peak - 1
            print(f"{words:<36} {keys}: planned {plan['stages'][0]['together']}, peak {peak:.0f}, "
                  f"{100 * errors[words]:+.3f} %")
        print(f"largest error {100 * max(map(abs, errors.values())):.3f} % of 3 % on {len(errors)} meshes")
        for mesh, error in errors.items():
            self.assertLessEqual(abs(error), 0.03, mesh)

    def test_every_number_for_programs(self):
        answer = self.good("plan", self.write("config.json", json.dumps(LLAMA_8B)), "--ranks", "16", "--json")
        plan = json.loads(answer.out)
        self.assertEqual(plan["parameters"], 8030261248)
        self.assertEqual(len(plan["meshes"]), 35)
        good = [mesh for mesh in plan["meshes"] if mesh["refusal"] is None]
        self.assertEqual([m["step_seconds"] for m in good], sorted(m["step_seconds"] for m in good))
        for mesh in good:
            self.assertEqual(len(mesh["stages"]), mesh["mesh"]["pipe"])
            self.assertAlmostEqual(sum(mesh["seconds"].values()) / mesh["step_seconds"], 1, 3)
            for stage in mesh["stages"]:
                self.assertEqual(sum(stage["memory"].values()) + stage["runtime"], stage["together"])
                self.assertLessEqual(stage["together"], plan["device_bytes"])


class Measured(cli.CliTest):
    def test_this_host(self):
        answer = self.good("plan", "--measure")
        self.assertIn("written to host.yaml", answer.out, answer)
        text = (self.folder / "host.yaml").read_text()
        self.assertIn("device: cpu", text)
        self.assertIn("those between two threads", text)
        self.assertIn("; 2 x host, ", self.good("plan", self.recipe(), "--machine", "host", "--ranks", "2").out)
        self.assertIn("workspace of ops", self.good("plan", self.recipe(), "--machine", "host.yaml").out)

    def test_between_ranks(self):
        answer = self.good("plan", "--measure", "--machine", "two.yaml", ranks=2)
        self.assertIn("written to two.yaml", answer.out, answer)
        self.assertIn("node: 2", (self.folder / "two.yaml").read_text())


if __name__ == "__main__":
    cli.main()
