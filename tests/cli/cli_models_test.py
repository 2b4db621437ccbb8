"""Models that are there: probe, generate, eval, export, tokenize, inspect."""

import array
import fcntl
import json
import math
import os
import shutil

import cli_support as cli
from cli_tensors import Tensor, read_tensors, set_element, write_tensors


def off(mine, known):
    """The largest error against the largest value."""
    if mine.dims != known.dims:
        return math.inf
    worst = cli.worst(abs(a - b) for a, b in zip(mine.values, known.values))
    return worst / max(1e-30, *map(abs, known.values), 0)


class Probe(cli.CliTest):
    def test_gives_what_transformers_gives(self):
        names = sorted(path.name for path in (cli.data / "golden/models").iterdir())
        self.assertEqual(len(names), 7)
        for name in names:
            with self.subTest(name):
                folder = cli.data / "golden/models" / name
                known = read_tensors(folder / "expected.safetensors")
                write_tensors(self.folder / "x", {name: known[name].first() for name in ("input_ids", "labels")})
                answer = self.good("probe", folder, "--input", "x", "--output", "y", "--gradients", "--set",
                                   "dtype=f32")
                mine = read_tensors(self.folder / "y")
                self.assertLess(off(mine["logits"], known["logits"]), 1e-5, answer)
                self.assertLess(off(mine["loss"], known["loss"]), 1e-5, answer)
                gradients = {key for key in known if key.startswith("gradient.")}
                self.assertTrue(gradients)
                self.assertEqual({key for key in mine if key.startswith("gradient.")}, gradients)
                for key in gradients:
                    self.assertLess(off(mine[key], known[key]), 1e-4, key)

    def test_is_the_same_on_two_ranks_and_packed(self):
        folder = cli.data / "golden/models/llama-tied"
        known = read_tensors(folder / "expected.safetensors")
        write_tensors(self.folder / "x", {k: known[f"packed.{k}"] for k in ("input_ids", "labels", "document_starts")})
        self.good("probe", folder, "--input", "x", "--output", "y", "--gradients")
        mine = read_tensors(self.folder / "y")
        self.assertLess(off(mine["logits"], known["packed.logits"]), 1e-5)
        self.assertLess(off(mine["loss"], known["packed.loss"]), 1e-5)
        write_tensors(self.folder / "x", {name: known[name].first() for name in ("input_ids", "labels")})
        self.good("probe", folder, "--input", "x", "--output", "one", "--gradients")
        self.good("probe", folder, "--input", "x", "--output", "two", "--gradients", "--set", "zero_stage=3", ranks=2)
        one, two = read_tensors(self.folder / "one"), read_tensors(self.folder / "two")
        self.assertEqual(one.keys(), two.keys())
        for key, values in one.items():
            self.assertLess(off(two[key], values), 1e-5, key)

    def test_refuses_what_the_model_cannot_read(self):
        folder = cli.data / "golden/models/llama-gqa"
        for says, ids in [("259", Tensor([1, 259], 1, 2)), ("-3", Tensor([1, -3], 1, 2)),
                          ("at most 128", Tensor([0] * 129, 1, 129)), ("input_ids", Tensor([], 0))]:
            write_tensors(self.folder / "x", {"input_ids": ids})
            self.refused(3, says, "probe", folder, "--input", "x", "--output", "y")
        write_tensors(self.folder / "x", {"ids": Tensor([1], 1, 1)})
        self.refused(3, "input_ids", "probe", folder, "--input", "x", "--output", "y")
        self.refused(2, "--set lr=1", "probe", folder, "--input", "x", "--output", "y", "--set", "lr=1")
        self.refused(2, "probe needs --output", "probe", folder, "--input", "x")


class Generate(cli.CliTest):
    def test_greedy_is_known(self):
        golden = json.loads((cli.stories / "golden.json").read_text())["greedy"][0]
        given = golden["prompt_ids"]
        ids = ",".join(map(str, given))
        answer = json.loads(self.good("generate", cli.stories, "--ids", ids, "-n", 60, "--json", "--dtype", "f32").out)
        self.assertEqual(answer["prompt_ids"], given)
        self.assertEqual(answer["ids"], golden["ids"][len(given):][:60])
        streamed = self.good("generate", cli.stories, "--ids", ids, "-n", 60, "--dtype", "f32").out
        self.assertEqual(streamed.strip(), answer["text"].strip())
        by_text = json.loads(self.good("generate", cli.stories, "--prompt", golden["prompt"], "-n", 60, "--json",
                                       "--dtype", "f32").out)
        self.assertEqual(by_text["ids"], answer["ids"])
        self.assertEqual(by_text["finish_reason"], "length")

    def test_seeds_repeat_and_differ(self):
        def drawn(seed):
            return self.good("generate", cli.stories, "--prompt", "Once", "-n", 24, "--temperature", 1, "--seed", seed,
                             "--top-k", 50, "--top-p", 0.95).out
        self.assertEqual(drawn(7), drawn(7))
        self.assertNotEqual(drawn(7), drawn(8))

    def test_a_model_without_a_tokenizer_speaks_ids(self):
        out = self.good("generate", cli.data / "golden/models/qwen3", "--ids", "1,2,3", "-n", 4).out
        self.assertRegex(out, r"^\d+(,\d+){0,3}\n$")

    def test_the_model_s_limit_is_said(self):
        answer = self.good("generate", cli.stories, "--ids", ",".join(["5"] * 508), "-n", 600, "--json")
        self.assertLessEqual(len(json.loads(answer.out)["ids"]), 4)
        self.assertIn("note: this model reads at most 512 tokens and the prompt has 508: at most 4 follow", answer.err)

    def test_runs_on_one_rank(self):
        answer = self.run_hearth("generate", cli.stories, "--prompt", "a", ranks=2)
        self.assertEqual(answer.code, 2, answer)
        self.assertIn("start it without mpirun", answer.err)


class Eval(cli.CliTest):
    def test_alone_and_on_two_ranks(self):
        self.corpus()
        words = ["eval", cli.stories, "--data", "corpus.txt", "--cutoff-len", 64, "--cache-dir", "cache"]
        one = json.loads(self.good(*words).out)
        self.assertGreater(one["loss"], 1)
        self.assertAlmostEqual(one["perplexity"], math.exp(one["loss"]), places=6)
        two = json.loads(self.good(*words, ranks=2).out)
        self.assertEqual({k: v for k, v in one.items() if k not in ("loss", "perplexity")},
                         {k: v for k, v in two.items() if k not in ("loss", "perplexity")})
        self.assertAlmostEqual(one["loss"], two["loss"], places=6)
        self.refused(2, "--data FILE, --qa FILE or both", "eval", cli.stories)
        self.refused(2, "--cutoff-len 1", "eval", cli.stories, "--data", "corpus.txt", "--cutoff-len", "1")

    def test_questions(self):
        self.write("qa.jsonl", '{"prompt": "Once upon a", "completion": " time"}\n'
                   '{"prompt": "Once upon a", "completion": " zebra"}\n')
        answer = json.loads(self.good("eval", cli.stories, "--qa", "qa.jsonl", "--cache-dir", "cache").out)
        self.assertEqual(answer["questions"], 2)
        self.assertEqual(answer["exact_match"], answer["answered_exactly"] / 2)


    def test_an_answer_that_is_right_counts_and_one_that_is_wrong_does_not(self):
        """A model learns three answers by heart."""
        facts = {"The crane stands in": " Reedholm", "The pump runs on": " oil VG 810", "The saw belongs to": " Greta"}
        self.write("facts.jsonl", "".join(json.dumps({"prompt": p, "completion": c}) + "\n" for p, c in facts.items()))
        wrong = [{"prompt": p, "completion": c} for p, c in zip(facts, (" Reedhol", " oil VG 811", " Greta"))]
        self.write("mixed.jsonl", "".join(json.dumps(row) + "\n" for row in wrong))
        recipe = self.recipe(datasets="facts.jsonl", stage="sft", packing="none", global_batch_size=3, max_steps=60,
                             learning_rate="5.0e-3", save_steps=60)
        self.good("train", recipe, "--progress", "none")
        for ranks in (0, 2):
            for name, right in (("facts", 3), ("mixed", 1)):
                answer = self.good("eval", "run", "--qa", f"{name}.jsonl", ranks=ranks)
                self.assertEqual(json.loads(answer.out)["answered_exactly"], right, answer)
                self.assertEqual(json.loads(answer.out)["questions"], 3, answer)
        for prompt, completion in facts.items():
            self.assertEqual(self.good("generate", "run", "--prompt", prompt).out.rstrip("\n"), completion)


class Tokenize(cli.CliTest):
    def test_both_forms(self):
        text = "Once upon a time,\nthere was a little girl.\n"
        self.write("a.txt", text)
        self.write("a.jsonl", json.dumps({"text": text}) + "\n\n" + json.dumps({"text": "né 红"}) + "\n")
        self.assertRegex(self.good("tokenize", cli.stories, "--input", "a.txt", "--output", "ids").out,
                         r"^\d+ tokens, 43 bytes, [\d.]+ MB/s\n$")
        ids = list(array.array("I", (self.folder / "ids").read_bytes()))
        self.good("tokenize", cli.stories / "tokenizer.json", "--input", "a.jsonl", "--output", "rows")
        rows = [json.loads(line) for line in (self.folder / "rows").read_text().splitlines()]
        self.assertEqual([row["ids"] for row in rows][0], ids)
        self.assertEqual([row["decoded"].strip() for row in rows], [text.strip(), "né 红"])
        self.good("tokenize", cli.stories, "--input", "a.txt", "--output", "special", "--special")
        self.assertEqual(list(array.array("I", (self.folder / "special").read_bytes())), [1, *ids])

    def test_a_bad_row_leaves_the_output_as_it_was(self):
        self.write("out", "as it was")
        self.write("a.jsonl", '{"text": "a"}\n{"words": "b"}\n')
        self.refused(3, ["a.jsonl line 2", '"text"'], "tokenize", cli.stories, "--input", "a.jsonl", "--output", "out")
        self.refused(2, "tokenize needs --input", "tokenize", cli.stories, "--output", "out")


class Export(cli.CliTest):
    def test_a_model_in_each_dtype(self):
        for dtype in ("f32", "bf16", "f16"):
            answer = self.good("export", cli.stories, "--to", "hf", "--output", dtype, "--dtype", dtype)
            self.assertIn("read back", answer.out)
            names = {path.name for path in (self.folder / dtype).iterdir()}
            self.assertLessEqual({"config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
                                  "hearth_export.json"}, names)
            self.good("inspect", dtype)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["bf16", "f16", "f32"])
        self.assertEqual(self.weights("bf16"), self.weights(cli.stories))
        self.refused(2, ["bf16 holds something", "new folder"], "export", cli.stories, "--output", "bf16")
        self.refused(2, "--to gguf", "export", cli.stories, "--to", "gguf", "--output", "new")
        self.refused(2, "--dtype int8: f32, bf16 or f16", "export", cli.stories, "--output", "new", "--dtype", "int8")
        self.refused(2, "export needs --output", "export", cli.stories)

    def test_what_a_killed_export_left_goes_away(self):
        left = self.folder / ".new.export"
        left.mkdir()
        (left / "model.safetensors").write_bytes(b"half of it")
        (left / "more.json").write_bytes(b"{")
        holder = os.open(left, os.O_RDONLY)
        self.addCleanup(os.close, holder)
        fcntl.flock(holder, fcntl.LOCK_EX)
        before = cli.tree_of(self.folder)
        self.refused(4, ["another export is writing", "new", "wait for it"], "export", cli.stories, "--output", "new")
        self.assertEqual(cli.tree_of(self.folder), before)
        fcntl.flock(holder, fcntl.LOCK_UN)
        self.good("export", cli.stories, "--output", "new")
        self.assertFalse(left.exists())
        self.assertNotIn("more.json", os.listdir(self.folder / "new"))

    def test_in_shards(self):
        self.good("export", cli.stories, "--output", "many", "--shard-bytes", "100000")
        self.assertGreater(len(list((self.folder / "many").glob("model-*-of-*.safetensors"))), 2)
        self.assertEqual(self.weights("many"), self.weights(cli.stories))


    def damaged(self, name, at, value):
        """A known model of f32 with one weight replaced."""
        shutil.rmtree(self.folder / "model", ignore_errors=True)
        shutil.copytree(cli.data / "golden/models/llama-gqa", self.folder / "model")
        set_element(self.folder / "model/model.safetensors", name, at, value)

    def test_a_weight_that_the_dtype_cannot_hold(self):
        name = "model.layers.0.self_attn.q_proj.weight"
        self.damaged(name, 5, 1e5)
        self.refused(17, [name, "element 5", "100000", "f16", "--dtype bf16 or --dtype f32"], "export", "model",
                     "--output", "hf", "--dtype", "f16")
        self.good("export", "model", "--output", "bf16", "--dtype", "bf16")
        self.damaged(name, 5, -3.4e38)  # a model that is not good for anything, but f32 holds its weights
        self.refused(17, [name, "element 5", "bf16", "--dtype f32"], "export", "model", "--output", "hf", "--dtype",
                     "bf16")
        self.damaged(name, 5, 65520)  # the smallest that f16 rounds to infinity
        self.refused(17, [name, "65520"], "export", "model", "--output", "hf", "--dtype", "f16")

    def test_weights_that_are_no_numbers(self):
        name = "model.layers.1.mlp.down_proj.weight"
        for value in (math.nan, math.inf, -math.inf):
            for dtype in ("f32", "bf16", "f16"):
                with self.subTest(value=value, dtype=dtype):
                    self.damaged(name, 7, value)
                    self.refused(17, [name, "element 7", str(value), "nothing was kept"], "export", "model",
                                 "--output", "hf", "--dtype", dtype)

    def test_logits_that_are_no_numbers(self):
        self.damaged("model.norm.weight", 0, 3e38)  # weights that every dtype but f16 holds
        set_element(self.folder / "model/model.safetensors", "lm_head.weight", 0, 3e38)
        self.refused(17, "do not give the checkpoint's logits", "export", "model", "--output", "hf", "--dtype", "f32")

    def test_a_model_whose_logits_are_no_numbers_has_one_code(self):
        self.damaged("model.layers.1.mlp.down_proj.weight", 7, math.nan)
        self.write("rows.jsonl", json.dumps({"input_ids": [1, 2, 3]}) + "\n")
        write_tensors(self.folder / "x", {"input_ids": Tensor([1, 2, 3], 1, 3)})
        for ranks in (0, 2):
            self.refused(5, "weights are damaged or diverged", "eval", "model", "--data", "rows.jsonl", ranks=ranks,
                         leaves=(".hearth-cache", "model"))
            self.refused(5, "weights are damaged or diverged", "probe", "model", "--input", "x", "--output", "y",
                         ranks=ranks)
        self.refused(5, "weights are damaged or diverged", "generate", "model", "--ids", "1,2")
        answer = self.run_hearth("train", self.recipe(model_name_or_path="model", datasets="rows.jsonl", packing="none"))
        self.assertEqual(answer.code, 5, answer)
        self.assertIn("those that it began with may be damaged; fetch model again", answer.err)
        self.assertNotIn("learning_rate", answer.err)


class Inspect(cli.CliTest):
    def test_a_file_and_a_folder(self):
        text = self.good("inspect", cli.stories / "model-00001-of-00002.safetensors", "--tensors").out
        self.assertIn("BF16", text)
        self.assertIn("model.embed_tokens.weight", text)
        text = self.good("inspect", cli.stories).out
        for part in ("llama", "260 032", "BF16"):
            self.assertIn(part, text)

    def test_a_shard_that_is_missing(self):
        shutil.copytree(cli.stories, self.folder / "model")
        (self.folder / "model/model-00002-of-00002.safetensors").unlink()
        self.refused(3, "model-00002-of-00002.safetensors", "inspect", "model")
        self.refused(3, "model-00002-of-00002.safetensors", "generate", "model", "--prompt", "a")


if __name__ == "__main__":
    cli.main()
