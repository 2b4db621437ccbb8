"""What tests of runs have in common."""

import shutil
import subprocess

import cli_support as cli

STEPS = 40
reference = {}


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
