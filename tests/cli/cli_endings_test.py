"""How a job ends when a rank does: the exit code, one message, and nobody left waiting."""

import pathlib
import re
import shutil
import sys

import cli_support as cli
from cli_tensors import Tensor, write_tensors

CODES = [2, 3, 4, 5, 6, 7, 10, 17, 70]
program = ""


class Endings(cli.CliTest):
    def ended(self, how, what, ranks):
        answer = self.run_hearth(how, what, ranks=ranks, program=program)
        self.assertEqual(answer.err.count("what went wrong"), 1, answer)
        return answer

    def message(self, answer):
        """The line of the error, without mpirun's own words."""
        return next(line for line in answer.err.splitlines() if line.startswith("hearth"))

    def test_without_a_launcher(self):
        for code in CODES:
            self.assertEqual(self.ended("at-once", code, 0).code, code)
        for what in ("standard", "broken"):
            answer = self.ended("alike", what, 0)
            self.assertEqual(answer.code, 70, answer)
            self.assertEqual(answer.err, "hearth: internal error: what went wrong (please report this)\n")

    def test_what_all_ranks_share_is_said_once_and_all_end_in_good_order(self):
        for ranks in (1, 2, 3):
            for how in ("at-once", "alike"):
                for code in (3, 70):
                    answer = self.ended(how, code, ranks)
                    self.assertEqual(answer.code, code, answer)
                    self.assertEqual(self.message(answer), "hearth: what went wrong")
                    self.assertNotIn("MPI_ABORT", answer.text)

    def test_an_error_of_one_rank_is_said_by_that_rank(self):
        for ranks in (2, 3):
            for how in ("late", "only"):
                for rank in range(ranks):
                    answer = self.ended(f"{how}-{rank}", 6, ranks)
                    self.assertEqual(answer.code, 6, answer)
                    who = f"hearth, rank {rank}" if rank > 0 else "hearth"
                    self.assertEqual(self.message(answer), f"{who}: what went wrong")
                    self.assertNotIn("MPI_ABORT", answer.text)

    def test_a_rank_that_fails_while_others_wait_takes_the_job_down(self):
        for ranks in (2, 3):
            for what, code in [("standard", 70), ("broken", 70), (6, 6)]:
                answer = self.run_hearth(f"alone-{ranks - 1}", what, ranks=ranks, program=program)
                self.assertEqual(answer.code, code, answer)
                self.assertRegex(self.message(answer), f"^hearth, rank {ranks - 1}: (internal error: )?what went wrong")
        self.assertEqual(self.run_hearth("alone-1", "memory", ranks=2, program=program).code, 4)


class Jobs(cli.CliTest):
    """The same of the program itself."""

    def refused_once(self, code, says, *words, ranks):
        answer = self.refused(code, says, *words, ranks=ranks, leaves=("run", ".hearth-cache"))
        self.assertEqual(len(re.findall("^hearth", answer.err, re.M)), 1, answer)
        self.assertTrue(answer.err.startswith("hearth: "), answer)
        self.assertNotIn("MPI_ABORT", answer.text)

    def test_mistakes_are_said_once(self):
        recipe = self.recipe()
        self.write("bad.txt", b"a good line\na bad \xff line\n")
        self.write("other/notes.txt", "mine")
        nan = ["--set", "learning_rate=1e30", "--set", "max_grad_norm=0", "--set", "max_steps=9"]
        for ranks, code, says, *words in [
                (2, 2, "no verb `trian`", "trian", recipe),
                (3, 2, "--progess", "train", recipe, "--progess", "bar"),
                (2, 2, "no-such.yaml", "train", "no-such.yaml"),
                (3, 2, "notes.txt", "train", recipe, "--set", "output_dir=other"),
                (2, 2, "cutoff_len: 100000", "train", recipe, "--set", "cutoff_len=100000"),
                (3, 2, "generate runs on one rank", "generate", cli.stories, "--prompt", "a"),
                (2, 2, "inspect runs on one rank", "inspect", cli.stories),
                (2, 3, "not UTF-8", "train", recipe, "--set", "datasets=bad.txt"),
                (3, 3, "not UTF-8", "prepare", recipe, "--set", "datasets=bad.txt"),
                (2, 3, "no-such-folder", "eval", "no-such-folder", "--data", "corpus.txt"),
                (3, 3, "no-such.txt", "eval", cli.stories, "--data", "no-such.txt"),
                (2, 3, "no-such.st", "probe", cli.stories, "--input", "no-such.st", "--output", "y"),
                (2, 5, "NaN or infinity", "train", recipe, *nan),
                (3, 5, "NaN or infinity", "train", recipe, *nan)]:
            with self.subTest(says, ranks=ranks):
                self.refused_once(code, says, *words, ranks=ranks)
                shutil.rmtree(self.folder / "run", ignore_errors=True)

    def test_a_run_that_may_not_go_on(self):
        self.good("train", self.recipe(max_steps=2), ranks=2)
        other = self.recipe("other.yaml", learning_rate="2.0e-3")
        self.refused_once(2, "learning_rate: was 0.001, is now 0.002", "train", other, ranks=2)
        self.corpus(size=5000)
        self.refused_once(3, "the data changed", "train", self.recipe(max_steps=4), ranks=3)
        for path in (self.folder / "run/step-2").iterdir():
            path.write_bytes(path.read_bytes()[:-1])
        self.refused_once(7, "none verifies", "train", self.recipe(max_steps=4), ranks=2)

    def test_a_refused_start_leaves_the_run_as_it_was(self):
        recipe = self.recipe(max_steps=2)
        self.good("train", recipe)
        self.corpus(size=5000)
        self.refused(3, "the data changed", "train", recipe, "--set", "max_steps=4",
                     leaves=("run/run.lock", ".hearth-cache"))
        self.corpus()
        self.good("train", recipe)
        self.good("train", recipe, "--set", "max_steps=4")
        self.refused(2, "max_steps: was 4, is now 2", "train", recipe, leaves=("run/run.lock",))

    def test_a_checkpoint_that_was_passed_over_is_told_whatever_is_shown(self):
        recipe = self.recipe(max_steps=4)
        self.good("train", recipe)
        for path in (self.folder / "run/step-4").iterdir():
            path.write_bytes(path.read_bytes()[:-1])
        answer = self.good("train", recipe, "--progress", "none", "--set", "max_steps=6", ranks=2)
        self.assertEqual(answer.out, "")
        self.assertEqual(len(re.findall("step-4 is not used", answer.err)), 1, answer)

    def test_ranks_that_were_given_different_words(self):
        recipe = self.recipe()
        two = [cli.hearth, "train", str(recipe)]
        for code, says, last in [(2, "hearth, rank 1: the recipe cannot be read", "no-such.yaml"),
                                 (2, "hearth: rank 0 and rank 1 were given different recipes",
                                  self.recipe("other.yaml", seed=3))]:
            answer = self.run_hearth(*cli.mpirun[1:], "-n", 1, *two, ":", "-n", 1, *two[:2], last,
                                     program=cli.mpirun[0])
            self.assertEqual(answer.code, code, answer)
            self.assertIn(says, answer.err)
            self.assertEqual(len(re.findall("^hearth", answer.err, re.M)), 1, answer)

    def two(self, first, second, folders=None):
        """Two ranks that were not started alike."""
        places = [["-wdir", str(folder)] if folders else [] for folder in folders or ("", "")]
        return self.run_hearth(*cli.mpirun[1:], "-n", 1, *places[0], cli.hearth, *first, ":", "-n", 1, *places[1],
                               cli.hearth, *second, program=cli.mpirun[0])

    def refused_by_both(self, says, *how):
        answer = self.two(*how)
        self.assertEqual(answer.code, 2, answer)
        self.assertIn("hearth: rank 0 and rank 1 " + says, answer.err, answer)
        self.assertEqual(len(re.findall("^hearth", answer.err, re.M)), 1, answer)

    def test_words_are_compared_before_anything_is_sent(self):
        recipe = str(self.recipe())
        write_tensors(self.folder / "x", {"input_ids": Tensor([1, 2], 1, 2)})
        probe = ["probe", str(cli.stories), "--input", "x", "--output", "y"]
        evaluate = ["eval", str(cli.stories), "--data", "corpus.txt"]
        export = ["export", str(cli.stories), "--to", "hf", "--output", "z"]
        cut = ["--set", "tensor_parallel_size=2"]
        for first, second in [(["verify", recipe], ["verify", recipe, "--set", "zero_stage=1"]),
                              (["verify", recipe], ["verify", recipe, *cut]), (["verify", recipe], ["train", recipe]),
                              (["train", recipe], evaluate), (evaluate, [*evaluate, *cut]), (export, [*export, *cut]),
                              (probe, [*probe, "--set", "label_smoothing_factor=0.1"])]:
            with self.subTest(first=first[0], second=second[0], words=second[-1]):
                self.refused_by_both("were started with different words", first, second)

    def test_files_are_compared_that_only_bear_the_same_name(self):
        folders = [self.folder / "a", self.folder / "b"]
        self.corpus()
        for seed, folder in enumerate(folders, 1):
            self.recipe(f"{folder.name}/r.yaml", seed=seed, datasets="../corpus.txt")
            write_tensors(folder / "x", {"input_ids": Tensor([1, seed], 1, 2)})
            shutil.copytree(cli.stories, folder / "model")
        for verb in ("verify", "train"):
            self.refused_by_both("were given different recipes", [verb, "r.yaml"], [verb, "r.yaml"], folders)
        probe = ["probe", "model", "--input", "x", "--output", "y"]
        self.refused_by_both("were given different tokens", probe, probe, folders)
        config = folders[1] / "model/config.json"
        config.write_text(config.read_text().replace('"rms_norm_eps": 1e-05', '"rms_norm_eps": 1e-04'))
        for words in (probe, ["eval", "model", "--data", "../corpus.txt"], ["export", "model", "--to", "hf", "--output", "z"]):
            with self.subTest(words[0]):
                self.refused_by_both("have different models at model", words, words, folders)


if __name__ == "__main__":
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    cli.main()
