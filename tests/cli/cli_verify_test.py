"""verify: whether a mesh of MPI ranks gives what one rank gives, asked as a user asks it."""

import json

import cli_support as cli


class Verify(cli.CliTest):
    def test_a_good_mesh(self):
        recipe = self.recipe(dtype="bf16", pipeline_parallel_size=2, tensor_parallel_size=2)
        before = cli.tree_of(self.folder)
        answer = self.good("verify", recipe, "--report", "found.json", ranks=4)
        self.assertEqual(answer.err, "", answer)
        self.assertIn("pipe 2 x tensor 2", answer.out)
        self.assertIn("good: this mesh gives what one rank gives", answer.out)
        self.assertLessEqual(len(answer.out.splitlines()), 24, answer)
        found = json.loads((self.folder / "found.json").read_text())
        self.assertTrue(found["good"])
        self.assertEqual((found["mesh"]["pipe"], found["mesh"]["tensor"], found["mesh"]["ranks"]), (2, 2, 4))
        self.assertEqual({check["dtype"] for check in found["checks"]}, {"f32", "bf16"})
        self.assertTrue(all(check["error"] <= check["allowed"] for check in found["checks"]))
        after = cli.tree_of(self.folder)
        del after["found.json"]
        self.assertEqual(after, before)

    def test_equal_to_the_bit_over_data_and_stages_without_data_or_weights(self):
        recipe = self.recipe(datasets="not_here.txt", pipeline_parallel_size=2, pipeline_schedule="zero_bubble",
                             model_name_or_path="shape", global_batch_size=4)
        self.write("shape/config.json", (cli.stories / "config.json").read_bytes())
        self.good("verify", recipe, "--report", "found.json", ranks=4)
        found = json.loads((self.folder / "found.json").read_text())
        self.assertEqual({(check["error"], check["allowed"]) for check in found["checks"]}, {(0, 0)})

    def test_one_rank_and_settings(self):
        answer = self.good("verify", self.recipe(), "--set", "sum_order=fast")
        self.assertIn("one rank, ZeRO 0, sums fast", answer.out)

    def test_says_that_processors_differ_and_promises_no_bits(self):
        recipe = self.recipe()
        old, new = (("env", f"ONEDNN_MAX_CPU_ISA={isa}", cli.hearth, "verify", recipe, "--report", "found.json")
                    for isa in ("SSE41", "DEFAULT"))
        answer = self.good(*old[1:], ":", "-n", 1, *new, ranks=1, program="env")
        says = "ranks compute on different kinds of processor (rank 0: "
        self.assertIn(f"\nnote: {says}", answer.out, answer)
        self.assertIn("allowed: no bits on processors of different kinds, but ", answer.out, answer)
        found = json.loads((self.folder / "found.json").read_text())
        self.assertTrue(found["note"].startswith(says), found)
        self.assertTrue(all(check["allowed"] > 0 for check in found["checks"]), found)
        self.assertGreater(max(check["error"] for check in found["checks"]), 0, found)
        alike = self.good(*old[1:], ":", "-n", 1, *old, ranks=1, program="env")
        self.assertNotIn("note: ", alike.out)

    def test_refuses_what_train_refuses(self):
        recipe = self.recipe(tensor_parallel_size=2)
        self.refused(2, ["tensor_parallel_size 2", "does not divide 3 rank(s)", "start 2 or 4"], "verify", recipe, ranks=3)
        self.refused(2, ["tensor_parallel_size: 3", "8 heads"], "verify", recipe, "--set", "tensor_parallel_size=3",
                     ranks=3)
        self.refused(2, ["data_shard_size: 3", "2 does"], "verify", recipe, "--set", "data_shard_size=3", ranks=4)
        self.refused(2, ["tensor_paralel_size"], "verify", recipe, "--set", "tensor_paralel_size=1")
        self.refused(3, ["model_name_or_path: there is no `nowhere`"], "verify",
                     recipe, "--set", "model_name_or_path=nowhere", ranks=2)
        self.refused(2, "there is no folder not_here", "verify", recipe, "--report", "not_here/found.json", ranks=2)


if __name__ == "__main__":
    cli.main()
