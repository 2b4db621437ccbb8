"""Runs: trained, interrupted, killed, continued, broken; alone and on ranks."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import cli_support as cli

STEPS = 40
reference = {}


def children_of(process):
    """Ids of the processes that one started."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process:
            found.append(int(entry.name))
    return found


class RunTest(cli.CliTest):
    def long_recipe(self, **keys):
        """Forty steps at one rate, a checkpoint every five, the same mathematics on any ranks."""
        return self.recipe(**{"max_steps": STEPS, "save_steps": 5, "lr_scheduler_type": "constant", "cutoff_len": 64,
                              "global_batch_size": 4, **keys})

    def started(self, *words, ranks=0):
        process = subprocess.Popen(cli.command_of(words, ranks), cwd=self.folder, env=cli.environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def ended(self, process):
        out, _ = process.communicate(timeout=600)
        return process.returncode, out.decode("utf-8", "replace")

    def checkpoints(self, run="run"):
        return sorted(int(path.name[5:]) for path in (self.folder / run).glob("step-*"))

    def undisturbed(self, steps=STEPS):
        """The weights that a run on two ranks has after so many steps when nobody disturbs it."""
        if steps not in reference:
            recipe = self.long_recipe(output_dir="undisturbed", max_steps=steps)
            self.good("train", recipe, ranks=2)
            reference[steps] = self.weights("undisturbed")
            shutil.rmtree(self.folder / "undisturbed")
        return reference[steps]


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


class Interrupted(RunTest):
    def test_a_signal_commits_and_the_same_command_goes_on(self):
        whole = self.undisturbed()
        for ranks in (2, 0):
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            recipe = self.long_recipe(save_steps=1000)
            process = self.started("train", recipe, ranks=ranks)
            log = self.folder / "run/trainer_log.jsonl"
            self.assertTrue(cli.until(lambda path=log: path.read_text().count("\n") >= 3))
            process.send_signal(signal.SIGUSR1)
            code, out = self.ended(process)
            self.assertEqual(code, 10, out)
            self.assertIn("the same command goes on", out)
            at = self.checkpoints()
            self.assertEqual(len(at), 1, out)
            self.assertLess(at[0], STEPS)
            answer = self.good("train", recipe, ranks=ranks)
            self.assertIn(f"continuing from run/step-{at[0]}", answer.out)
            self.assertEqual(self.weights("run"), whole)

    def test_a_signal_in_a_long_evaluation_is_acted_on_at_once(self):
        """And before the first step, too, when there is nothing to save yet."""
        self.write("rows.txt", (cli.data / "corpora/tinyshakespeare.txt").read_bytes() * 12)
        recipe = self.recipe(eval_dataset="rows.txt", eval_steps=1, max_steps=2, cutoff_len=64, save_steps=1000)
        log = self.folder / "run/trainer_log.jsonl"
        process = self.started("train", recipe, ranks=2)
        self.assertTrue(cli.until((self.folder / "run/run.json").exists))
        process.send_signal(signal.SIGUSR1)
        code, out = self.ended(process)
        self.assertEqual(code, 10, out)
        self.assertIn("nothing was trained; run holds no checkpoint yet, and the same command begins the run", out)
        self.assertFalse(log.exists() and log.read_text(), out)
        process = self.started("train", recipe, ranks=2)
        self.assertTrue(cli.until(lambda: log.read_text().count("\n") == 1))  # now that after step 1 begins
        time.sleep(0.2)
        process.send_signal(signal.SIGUSR1)
        code, out = self.ended(process)
        self.assertEqual(code, 10, out)
        self.assertIn("first with the evaluation that was cut off", out)
        self.assertEqual(self.checkpoints(), [1])
        records = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertEqual([("eval_loss" in record) for record in records], [True, False])
        answer = self.good("train", recipe, ranks=2)
        self.assertLess(answer.out.index("after step 1:"), answer.out.index("step 2/2"))
        records = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertEqual([record["current_steps"] for record in records], [0, 1, 2])
        self.assertTrue(all("eval_loss" in record for record in records), records)

    def test_ctrl_c_on_a_run_of_its_own(self):
        for sent, says in [(signal.SIGINT, "Ctrl-C once more ends at once"), (signal.SIGTERM, "")]:
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            process = self.started("train", self.long_recipe(save_steps=100000, max_steps=100000))
            log = self.folder / "run/trainer_log.jsonl"
            self.assertTrue(cli.until(lambda path=log: path.read_text().count("\n") >= 3))
            process.send_signal(sent)
            code, out = self.ended(process)
            self.assertEqual(code, 10, out)
            self.assertIn(says, out)
            self.assertIn("the checkpoint is saved, the same command goes on", out)
            self.assertEqual(len(self.checkpoints()), 1)

    def test_a_rank_that_is_killed(self):
        whole = self.undisturbed()
        recipe = self.long_recipe()
        process = self.started("train", recipe, ranks=2)
        self.assertTrue(cli.until(self.checkpoints))
        ranks = children_of(process.pid)
        self.assertEqual(len(ranks), 2)
        os.kill(ranks[1], signal.SIGKILL)
        code, out = self.ended(process)
        self.assertEqual(code, 137, out)
        # mpirun may return before the last rank is gone; until then the folder is that rank's.
        self.assertTrue(cli.until(lambda: not pathlib.Path(f"/proc/{ranks[0]}").exists()))
        self.good("train", recipe, ranks=2)
        self.assertEqual(self.weights("run"), whole)

    def test_other_numbers_of_ranks(self):
        whole = self.undisturbed()
        for part, ranks in enumerate((2, 1, 3, 4), 1):
            self.good("train", self.long_recipe(max_steps=STEPS * part // 4), ranks=ranks)
        self.assertEqual(self.weights("run"), whole)

    def test_a_run_that_moves_to_other_instructions_says_so(self):
        def held_to(isa):
            return ("env", f"ONEDNN_MAX_CPU_ISA={isa}")
        devices = [self.good("--version", prefix=held_to(isa)).out.splitlines()[-1] for isa in ("SSE41", "AVX2")]
        self.good("train", self.long_recipe(max_steps=2), prefix=held_to("SSE41"))
        out = self.good("train", self.long_recipe(max_steps=4), prefix=held_to("AVX2")).out
        self.assertEqual("continues on" in out, devices[0] != devices[1], out)
        if devices[0] != devices[1]:
            self.assertRegex(out, r"on .*\(family .*, sse41, oneDNN .* so far and continues on .*, avx2, oneDNN .*bit")
        self.assertNotIn("continues on", self.good("train", self.long_recipe(max_steps=6), prefix=held_to("AVX2")).out)

    def test_two_jobs_in_one_folder(self):
        recipe = self.long_recipe(max_steps=100000, save_steps=100000)
        process = self.started("train", recipe)
        self.assertTrue(cli.until(lambda: (self.folder / "run/trainer_log.jsonl").stat().st_size > 0))
        for verb in ("train", "prepare"):
            answer = self.run_hearth(verb, recipe)
            self.assertEqual(answer.code, 4, answer)
            for part in ("run is in use by another job", f"process {process.pid}", "another output_dir"):
                self.assertIn(part, answer.err)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(self.ended(process)[0], 10)


class Broken(RunTest):
    def flip(self, step):
        """Turns one bit of a checkpoint's largest file."""
        path = max((self.folder / f"run/step-{step}").iterdir(), key=lambda one: one.stat().st_size)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 4
        path.write_bytes(raw)

    def test_a_broken_checkpoint_is_passed_over_and_none_is_started_over(self):
        recipe = self.long_recipe(max_steps=10)
        self.good("train", recipe)
        whole = self.weights("run")
        self.assertEqual(self.checkpoints(), [5, 10])
        self.flip(10)
        for ranks, words in [(0, ["generate", "run", "--prompt", "a", "-n", 1]),
                             (0, ["export", "run", "--output", "five"]),
                             (2, ["eval", "run", "--data", "corpus.txt", "--cutoff-len", 64])]:
            self.assertEqual(self.good(*words, ranks=ranks).err.count("note: run/step-10 is not used"), 1)
        base = self.recipe("base.yaml", model_name_or_path="run", output_dir="base", max_steps=1)
        self.assertEqual(self.good("train", base).out.count("note: run/step-10 is not used"), 1)
        answer = self.good("train", recipe)
        self.assertIn("run/step-10 is not used", answer.out)
        self.assertIn("continuing from run/step-5", answer.out)
        self.assertEqual(self.weights("run"), whole)
        self.flip(5)
        self.flip(10)
        for words in (["train", recipe], ["generate", "run", "--prompt", "a"], ["export", "run", "--output", "new"],
                      ["inspect", "run"]):
            self.refused(7, ["run holds 2 checkpoints and none verifies", "good copy"], *words,
                         leaves=("run/run.lock",))

    def test_a_full_disk(self):
        disk = pathlib.Path(tempfile.mkdtemp(prefix="hearth-disk-"))
        self.addCleanup(shutil.rmtree, disk, ignore_errors=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True,
                                 check=False)
        if mounted.returncode != 0:
            return cli.not_run(self.id(), "needs the right to mount a small tmpfs")
        self.addCleanup(subprocess.run, ["umount", disk], check=False)
        run = disk / "run"
        self.good("train", self.long_recipe(output_dir=run, max_steps=5))
        filler = disk / "filler"
        free = shutil.disk_usage(disk).free
        filler.write_bytes(bytes(free - (1 << 20)))
        before = cli.tree_of(run / "step-5")
        recipe = self.long_recipe(output_dir=run, max_steps=10)
        answer = self.run_hearth("train", recipe)
        self.assertEqual(answer.code, 6, answer)
        self.assertIn("could not be saved", answer.text)
        self.assertIn("No space left", answer.text)
        self.assertIn("same command", answer.err)
        self.assertEqual(cli.tree_of(run / "step-5"), before)
        self.assertEqual([path.name for path in run.iterdir() if path.name.startswith((".step", "step-"))], ["step-5"])
        filler.unlink()
        self.good("train", recipe)
        self.assertEqual(self.weights(run), self.undisturbed(10))
        return None


if __name__ == "__main__":
    cli.main()
