"""launch/quickstart itself: what it promises to show, with a few steps of training."""

import json
import pathlib
import re
import signal
import subprocess

import cli_support as cli


class Quickstart(cli.CliTest):
    def started(self, *words):
        command = [cli.source / "launch/quickstart", "--folder", "my runs", "--built",
                   pathlib.Path(cli.hearth).parent, *words]
        process = subprocess.Popen(list(map(str, command)), cwd=self.folder, env=cli.environment(), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def test_shows_what_it_promises(self):
        process = self.started("--steps", 3)
        out, _ = process.communicate(timeout=600)
        self.assertEqual(process.returncode, 0, out)
        for part in ("1. The files of a company that does not exist", "2. Training on two ranks", "data 2 x 1 thread(s)",
                     "step 3/842  loss", "3. What it knows now", "4. Asking it", "stopped as asked at step 3 of "):
            self.assertIn(part, out)
        shares = {name: float(share) for name, share in re.findall(r"^ +(before training|after|about machines that are in "
                                                                   r"no file) +([\d.]+) %", out, re.M)}
        self.assertEqual(len(shares), 3, out)
        self.assertTrue(all(0 <= share < 5 for share in shares.values()), shares)  # three steps teach nothing
        exam = (self.folder / "my runs/quickstart-data/exam.jsonl").read_text().splitlines()
        rows = [json.loads(exam[line - 1]) for line in (1, 98, 195)]
        asked = re.findall(r"^   (Question: .*?) Answer:.*\(the files say: (.*)\)$", out, re.M)
        self.assertEqual(asked, [(row["prompt"].split("\n")[0], row["completion"].strip()) for row in rows], out)
        report = re.search(r"^The report, with curves: (/.*)$", out, re.M)
        self.assertTrue(report, out)
        self.assertEqual(pathlib.Path(report.group(1)), (self.folder / "my runs/quickstart/report.html").resolve())
        self.assertIn("<svg", pathlib.Path(report.group(1)).read_text())
        self.interrupted()

    def interrupted(self):
        """The whole training goes on from the trial; Ctrl-C saves and ends it."""
        process = self.started()
        log = self.folder / "my runs/quickstart/trainer_log.jsonl"
        self.assertTrue(cli.until(lambda: '"current_steps":6,' in log.read_text()))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=600)
        self.assertEqual(process.returncode, 10, out)
        self.assertRegex(out, r"continuing from .*/step-3 \(step 3 of \d{3,}\)")
        self.assertIn("Interrupted; the same command goes on", out)

    def test_words_that_it_does_not_know(self):
        process = self.started("--step", 3)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 2, out)
        self.assertIn("usage: launch/quickstart", out)


if __name__ == "__main__":
    cli.main()
