"""Runs as they are meant: prepared, trained, shown, continued; alone and on ranks."""

import json
import os
import re

import cli_support as cli
from cli_run_support import RunTest


class Train(RunTest):
    def test_prepare_then_train_alone_and_on_two_ranks(self):
        self.corpus("corpus/a.txt")
        self.corpus("corpus/b.txt", 500)
        self.corpus("corpus/c.md", 700)
        recipe = self.recipe(datasets="corpus", val_size=1)
        counted = self.good("prepare", recipe)
        self.assertIn("row 0:", counted.out)
        self.assertIn("[", counted.out)
        stores = list((self.folder / ".hearth-cache").rglob("index.h5"))
        self.assertTrue(stores)
        self.assertIn("token store", self.good("inspect", stores[0].parent).out)
        again = self.good("prepare", recipe, ranks=2)
        self.assertEqual([l for l in again.out.splitlines() if l.startswith("row")],
                         [l for l in counted.out.splitlines() if l.startswith("row")])
        answer = self.good("train", recipe)
        self.assertIn("step 4/4", answer.out)
        self.assertIn("report.html", answer.out)
        self.good("train", recipe, "--set", "output_dir=two", ranks=2)
        self.assertEqual(self.weights("run"), self.weights("two"))
        records = [json.loads(line) for line in (self.folder / "run/trainer_log.jsonl").read_text().splitlines()]
        self.assertTrue(any("eval_loss" in record for record in records), records)
        self.assertIn("<svg", (self.folder / "run/report.html").read_text())
        self.assertIn("this run is finished", self.good("train", recipe).out)

    def test_what_a_run_is_good_for(self):
        self.good("train", self.recipe(max_steps=2))
        text = self.good("inspect", "run").out
        for part in ("run run", "step           2", "verified (SHA-384)"):
            self.assertIn(part, text)
        self.assertIn("checkpoint run/step-2", self.good("inspect", "run/step-2").out)
        self.good("export", "run", "--output", "hf")
        self.assertEqual(self.weights("hf"), self.weights("run"))
        words = ["--prompt", "Once upon", "-n", 12]
        self.assertEqual(self.good("generate", "run", *words).out, self.good("generate", "hf", *words).out)
        self.corpus("held.txt", 900)
        words = ["--data", "held.txt", "--cutoff-len", 64, "--cache-dir", "cache"]
        losses = [json.loads(self.good("eval", model, *words).out)["loss"] for model in ("run", "hf")]
        self.assertEqual(losses[0], losses[1])

    def test_a_checkpoint_is_found_however_its_path_is_spelt(self):
        self.good("train", self.recipe(max_steps=2))
        (self.folder / "run/latest").symlink_to("step-2")
        known = self.good("generate", "run/step-2", "--prompt", "Once", "-n", 8).out
        more = self.recipe("more.yaml", model_name_or_path="run/step-2", output_dir="more", max_steps=1)
        self.good("train", more)
        weights = self.weights("more")
        for k, path in enumerate(["run/step-2/", "./run//step-2/.", "more/../run/step-2", "run/latest", "run/", "run"]):
            self.assertEqual(self.good("generate", path, "--prompt", "Once", "-n", 8).out, known)
            self.good("inspect", path)
            self.good("export", path, "--output", f"hf{k}/")
            self.assertEqual(self.weights(f"hf{k}"), self.weights("run/step-2"))
            ranks = k % 3
            self.good("train", more, "--set", f"model_name_or_path={path}", "--set", f"output_dir=./more{k}/",
                      ranks=ranks)
            self.assertEqual(self.weights(f"more{k}"), weights)
        (self.folder / "empty").mkdir()
        self.good("export", "../run", "--output", ".", cwd=self.folder / "empty")
        self.assertEqual(self.weights("empty"), self.weights("run"))
        # The run goes on, too, whatever is written in front of or behind its name.
        finished = self.good("train", more, "--set", "output_dir=./more/").out
        self.assertIn("this run is finished", finished)
        self.assertIn("<title>more", (self.folder / "more/report.html").read_text())

    def test_a_run_begins_from_a_named_checkpoint_however_it_is_spelt(self):
        self.good("train", self.recipe(max_steps=2, lr_scheduler_type="constant"))
        (self.folder / "run/latest").symlink_to("step-2")
        recipe = self.recipe("on.yaml", output_dir="on", max_steps=4, lr_scheduler_type="constant")
        known = ""
        for k, path in enumerate(["run/step-2", "run/step-2/", "run//./step-2/.", "run/latest", "run/"]):
            answer = self.good("train", recipe, "--set", f"resume_from_checkpoint={path}", "--set", f"output_dir=on{k}",
                               ranks=(0, 2, 3, 2, 0)[k])
            self.assertIn("step 3/4", answer.out)
            self.assertNotIn("step 2/4", answer.out)
            known = known or self.weights("on0")
            self.assertEqual(self.weights(f"on{k}"), known)

    def test_a_vocabulary_is_made_when_prepared_and_kept(self):
        shape = "{model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, " \
                "num_attention_heads: 2, num_key_value_heads: 2, max_position_embeddings: 64}"
        recipe = self.recipe(model_name_or_path=None, model_config=shape, tokenizer_vocab_size=300)
        self.good("prepare", recipe)
        made = (self.folder / "run/tokenizer/tokenizer.json").read_bytes()
        self.good("train", recipe)
        self.assertEqual((self.folder / "run/step-4/tokenizer.json").read_bytes(), made)

    def test_prompts_are_trained_where_that_is_asked_for(self):
        self.write("rows.jsonl", '{"prompt": "Once upon", "completion": " a time"}\n')
        recipe = self.recipe(stage="sft", datasets="rows.jsonl", packing="none", max_steps=1)
        rows = {}
        for wish, canonical in [("completion_only_loss=true", "false"), ("train_on_inputs=true", "true"),
                                ("train_on={prompt: true}", "true"), ("train_on={prompt: false}", "false")]:
            out = self.good("prepare", recipe, "--set", wish).out
            rows[wish] = out[out.index("row 0:"):].splitlines()[1].split()
            self.assertEqual([token.strip("[]") for token in rows[wish]],
                             [token.strip("[]") for token in rows["completion_only_loss=true"]])
            trained = [token.startswith("[") for token in rows[wish]]
            self.assertFalse(trained[0])  # nothing predicts the first token
            self.assertEqual(all(trained[1:]), canonical == "true", out)
            self.assertTrue(trained[-1])
        self.good("train", recipe, "--set", "train_on={prompt: true}")
        # Another mathematics: the run does not go on with it.
        self.refused(2, "train_on: was {prompt: true}, is now {prompt: false}", "train", recipe,
                     leaves=("run/run.lock",))

    def test_what_has_no_effect_is_noted(self):
        recipe = self.recipe(max_steps=None, num_train_epochs=0.01)
        crowd = len(os.sched_getaffinity(0)) + 1
        for key, value, note in [
                ("warmup_steps", 1000, "note: warmup_steps: 1000 is more than the"),
                ("train_on", "{prompt: true}", "note: train_on.prompt changes nothing about what is trained"),
                ("threads_per_rank", crowd, f"note: threads_per_rank: {crowd} x 1 rank(s) of this host is more than")]:
            for stated in (True, False):
                with self.subTest(key=key, stated=stated):
                    words = ["--set", f"output_dir={key}-{stated}", *(["--set", f"{key}={value}"] if stated else [])]
                    self.assertEqual(self.good("train", recipe, *words).out.count(note), int(stated))

    def test_a_trial_of_some_steps_goes_on_as_the_whole_run(self):
        recipe = self.recipe(max_steps=None, num_train_epochs=1, save_steps=1000)
        trial = ["--set", "max_steps=3"]
        self.good("train", recipe, *trial)
        self.assertEqual(self.checkpoints(), [3])
        self.good("recipe", "check", recipe)
        out = self.good("train", recipe).out
        self.assertIn("continuing from run/step-3", out)
        self.assertIn("this run was begun with max_steps: 3 and goes on with num_train_epochs: 1", out)
        self.assertGreater(max(self.checkpoints()), 20)
        # Not the other way: the run is longer than the trial already.
        self.refused(2, ["max_steps: was not set, is now 3", "put them back as they were", "--set output_dir=FOLDER"],
                     "train", recipe, *trial, leaves=("run/run.lock",))

    def test_one_run_has_one_duration_and_one_speed(self):
        recipe = self.recipe(val_size=4, max_steps=3)
        self.good("train", recipe)
        out = self.good("train", recipe, "--set", "max_steps=6", ranks=2).out
        said = re.search(r"finished: 6 steps in (.+) \(2 attempts\), ([\d,]+) tokens/s", out)
        self.assertTrue(said, out)
        page = (self.folder / "run/report.html").read_text()
        tiles = dict(re.findall(r'<dt>([^<]+)</dt><dd class="value">([^<]+)</dd>', page))
        self.assertEqual((tiles["Duration"], tiles["Tokens per second"]), said.groups())
        records = [json.loads(line) for line in (self.folder / "run/trainer_log.jsonl").read_text().splitlines()]
        ends = [record for record, after in zip(records, [*records[1:], {}])
                if record["attempt"] != after.get("attempt")]
        self.assertEqual([record["current_steps"] for record in ends], [3, 6])
        seconds = sum(record["elapsed_seconds"] for record in ends)
        speed = sum(record["elapsed_seconds"] * record["throughput"] for record in ends) / seconds
        self.assertAlmostEqual(int(tiles["Tokens per second"].replace(",", "")), speed, delta=0.51)

    def test_what_a_start_settled_is_shown(self):
        self.write("rows.jsonl", '{"text": "once upon a time there was"}\n{"text": "a little girl"}\n')
        self.good("train", self.recipe(cutoff_len=None, packing="none", datasets="rows.jsonl", warmup_steps=None,
                                       max_steps=2), ranks=2)
        recipe = (self.folder / "run/step-2/recipe.yaml").read_text()
        page = (self.folder / "run/report.html").read_text()
        for line in ("# at this start: 2 rank(s): pipe 1 x data 2 x context 1 x tensor 1", "# zero_stage: 3  (settled",
                     "# data_shard_size: 2  (settled", "# threads_per_rank: 1  (settled", "# pipeline_chunks: 1  (settled",
                     "# gradient_accumulation_steps: 1  (settled", "# cutoff_len: 512  (settled",
                     "# warmup_steps: 1  (settled"):
            self.assertIn(line, recipe)
            self.assertIn(line, page)
        # It reads back as the recipe that it is.
        self.write("again.yaml", recipe)
        self.assertIn("this run is finished", self.good("train", "again.yaml", ranks=2).out)

    def test_progress(self):
        recipe = self.recipe()
        for style in ("bar", "lines", "none"):
            out = self.good("train", recipe, "--set", f"output_dir={style}", "--progress", style).out
            self.assertEqual("\r" in out, style == "bar", out)
            self.assertEqual("4/4  loss" in out, style != "none", out)
        # Into a file there is no bar, whatever a rank's own terminal says.
        self.assertNotIn("\r", self.good("train", recipe, "--set", "output_dir=ranks", ranks=2).out)

    def test_no_bar_is_drawn_into_a_file_through_a_script(self):
        """mpirun gives what it starts a terminal of its own to write to; the launcher's output counts, not the script's."""
        script = self.write("start.sh", f"#!/bin/bash\n{cli.hearth} train recipe.yaml\ntrue\n")
        script.chmod(0o755)
        self.recipe()
        answer = self.good(ranks=2, program=script)
        self.assertNotIn("\x1b", answer.out, answer)
        self.assertRegex(answer.out, r"(?m)^step 4/4  loss", answer)


if __name__ == "__main__":
    cli.main()
