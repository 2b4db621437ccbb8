"""Runs that are interrupted, killed, moved or broken, and continued."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import cli_support as cli
from cli_run_support import RunTest, STEPS


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
