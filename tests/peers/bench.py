"""What the checks share: calling hearth, reading and writing tensors, tables, and the list of what failed."""

import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEARTH = ROOT / "build" / "hearth"
DATA = ROOT / "tests" / "data"
SHARED = ROOT.parent / "shared"
MODELS = ("llama-gqa", "llama-tied", "llama3-rope-scaling", "qwen2", "qwen2-yarn", "qwen3", "mistral-window")

failures = []


def check(holds, sentence):
    """Records a failed check and goes on: one run shows everything that is wrong."""
    if not holds:
        failures.append(sentence)
        print(f"FAILED  {sentence}")
    return holds


def corpus(name):
    """A whole text where the shared data lies beside the clone, else its beginning from tests/data."""
    whole = SHARED / "data" / "corpora" / name
    return whole if whole.exists() else DATA / "corpora" / name


class Ran:
    """A finished call of hearth: what it printed, and its peak resident memory in GB."""

    def __init__(self, output, peak_gb):
        self.output, self.peak_gb = output, peak_gb

    def number(self, pattern):
        found = re.search(pattern, self.output)
        if not found:
            raise RuntimeError(f"hearth printed nothing like /{pattern}/:\n{self.output}")
        return float(found[1])


def call(command, environment=None):
    """Runs a program to its end, with what it prints and its own peak memory. Raises when it fails."""
    with tempfile.TemporaryFile("w+") as printed:
        words, variables = [str(word) for word in command], {**os.environ, **(environment or {})}
        process = subprocess.Popen(words, stdout=printed, stderr=subprocess.STDOUT, env=variables)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        output = printed.read()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output[-4000:]}")
    return Ran(output, usage.ru_maxrss / 1e6)


def hearth(*arguments, environment=None):
    return call([HEARTH, *arguments], environment)


@contextmanager
def folder():
    path = Path(tempfile.mkdtemp(prefix="hearth_peers_"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_recipe(path, **keys):
    """A flat recipe; YAML takes JSON's spelling of every value."""
    path.write_text("".join(f"{key}: {json.dumps(str(v) if isinstance(v, Path) else v)}\n" for key, v in keys.items()))
    return path


def write_rows(path, rows):
    """Rows of ids that are their own labels."""
    with open(path, "w") as file:
        for ids, labels in rows:
            file.write(json.dumps({"input_ids": list(map(int, ids)), "labels": list(map(int, labels))}) + "\n")
    return path


def log_lines(run):
    return [json.loads(line) for line in (run / "trainer_log.jsonl").read_text().splitlines()]


def table(title, head, rows):
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        words = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(words))
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))
    print(flush=True)


def spread(values, digits=1):
    """Median, and smallest to largest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
