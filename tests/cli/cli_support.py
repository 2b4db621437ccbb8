"""What the tests of the command line share: start hearth, look at what it says, returns and leaves behind."""

import contextlib
import hashlib
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

hearth = ""
mpirun = []
source = pathlib.Path()
data = pathlib.Path()
stories = pathlib.Path()


def environment():
    """One thread a rank: the tests share the machine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "PMI_", "SLURM_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "TERM": "dumb"}


class Answer:
    """What one start of the program gave."""

    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err
        self.text = out + err

    def __str__(self):
        return f"$ {' '.join(map(str, self.command))}\ncode {self.code}\n--- output\n{self.out}--- errors\n{self.err}"


def command_of(words, ranks=0, program=None):
    start = [*mpirun, "-n", str(ranks)] if ranks else []
    return [str(word) for word in [*start, program or hearth, *words]]


def settings(keys):
    """The words that set each key to its value."""
    return [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]


class CliTest(unittest.TestCase):
    """Each test works in an empty folder of its own."""

    maxDiff = None

    def setUp(self):
        # Open MPI keeps sockets in TMPDIR: a short path.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_hearth(self, *words, ranks=0, cwd=None, program=None, prefix=()):
        command = [*prefix, *command_of(words, ranks, program)]
        done = subprocess.run(command, cwd=cwd or self.folder, env=environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=600)
        return Answer(command, done.returncode, done.stdout.decode("utf-8", "replace"),
                      done.stderr.decode("utf-8", "replace"))

    def good(self, *words, **how):
        """Starts the program, which must succeed and have nothing to complain about."""
        answer = self.run_hearth(*words, **how)
        self.assertEqual(answer.code, 0, answer)
        return answer

    def refused(self, code, says, *words, **how):
        """Starts the program, which must end with `code`, say each of `says` as an error, and change no file."""
        leaves = how.pop("leaves", ())
        before = tree_of(how.get("cwd") or self.folder)
        answer = self.run_hearth(*words, **how)
        self.assertEqual(answer.code, code, answer)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, answer.err, answer)
        self.assertIn("hearth", answer.err.splitlines()[0], answer)
        self.assertNotIn("internal error", answer.text, answer)
        after = tree_of(how.get("cwd") or self.folder)
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        self.assertEqual({name for name in changed if not name.startswith(tuple(leaves))} if leaves else changed, set(),
                         f"{answer}\nfiles were left behind or harmed")
        return answer

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def corpus(self, name="corpus.txt", size=6000):
        return self.write(name, (data / "corpora/tinyshakespeare.txt").read_bytes()[:size])

    def recipe(self, name="recipe.yaml", **keys):
        """A recipe that trains stories260K for a few steps; `keys` replaces some, None leaves one out."""
        if "datasets" not in keys and not (self.folder / "corpus.txt").exists():
            self.corpus()
        whole = {"model_name_or_path": stories, "stage": "pt", "finetuning_type": "full", "datasets": "corpus.txt",
                 "cutoff_len": 32, "packing": "wrapped", "per_device_train_batch_size": 1, "global_batch_size": 2,
                 "max_steps": 4, "learning_rate": "1.0e-3", "warmup_steps": 0, "dtype": "f32", "output_dir": "run",
                 "logging_steps": 1, "save_steps": 2, **keys}
        return self.write(name, "".join(f"{k}: {v}\n" for k, v in whole.items() if v is not None))

    def weights(self, path):
        """The digest of the weights that `inspect` names."""
        answer = self.good("inspect", path)
        lines = [line.split()[1] for line in answer.out.splitlines() if line.split()[:1] in (["weights"], ["sha384"])]
        self.assertEqual(len(lines), 1, answer)
        self.assertRegex(lines[0], "^[0-9a-f]{96}$")
        return lines[0]


def worst(errors):
    """The largest; one that is no number counts as larger than any, where max() might drop it."""
    return max(math.inf if math.isnan(error) else error for error in errors)


def tree_of(folder):
    """Every file below a folder with its digest, every folder with nothing."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = hashlib.sha384(path.read_bytes()).hexdigest() if path.is_file() else ""
    return found


def until(holds, seconds=300):
    """Waits until holds() is true; says whether it became so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if holds():
                return True
        time.sleep(0.02)
    return False


def not_run(name, why):
    print(f"not run here: {name}: {why}", flush=True)


def main():
    """cli_X_test.py HEARTH SOURCE MPIRUN...: the program, the source tree, and how ranks are started."""
    global hearth, mpirun, source, data, stories
    if len(sys.argv) < 4:
        sys.exit(f"usage: {sys.argv[0]} HEARTH SOURCE MPIRUN...")
    hearth, source, mpirun = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]
    data = source / "tests/data"
    stories = data / "models/stories260K"
    unittest.main(argv=sys.argv[:1], module="__main__", verbosity=2)
