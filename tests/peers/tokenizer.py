"""MB/s of `hearth tokenize` and of tokenizers on one thread, taking turns on the same text; and the same ids."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy

from bench import DATA, SHARED, check, corpus, folder, hearth, spread, table

TURNS = 5


def race(tokenizer, text, turns, into):
    """(hearth on one thread, on two, tokenizers on one), each in MB/s, a list of turns; and whether the ids agree."""
    speeds = {1: [], 2: [], "theirs": []}
    ids = into / "ids.u32"
    for _ in range(turns):
        for threads in (1, 2):
            ran = hearth(
                "tokenize", tokenizer, "--input", text, "--output", ids, environment={"OMP_NUM_THREADS": str(threads)}
            )
            speeds[threads].append(ran.number(r"([0-9.]+) *MB/s"))
        # A process of its own: nothing that it remembers helps its next turn, as with hearth.
        one_thread = {**os.environ, "RAYON_NUM_THREADS": "1"}
        command = [sys.executable, __file__, str(tokenizer), str(text), str(into / "theirs.u32")]
        answer = subprocess.run(command, env=one_thread, check=True, capture_output=True, text=True)
        speeds["theirs"].append(float(answer.stdout))
    mine, theirs = (numpy.fromfile(into / name, dtype="<u4") for name in ("ids.u32", "theirs.u32"))
    return speeds, numpy.array_equal(mine, theirs)


def run(quick):
    folders = [SHARED / "data" / "tokenizers" / name for name in ("gpt2", "qwen2.5", "llama3.1", "deepseek_r1", "llama2")]
    tokenizers = [path for path in folders if path.is_dir()] or [DATA / "models" / "stories260K"]
    rows = []
    for path in tokenizers[:1] if quick else tokenizers:
        for name in ("tinyshakespeare.txt", "honglou.txt"):
            with folder() as into:
                speeds, same = race(path / "tokenizer.json", corpus(name), 2 if quick else TURNS, into)
            check(same, f"{path.name} on {name}: the ids differ")
            one, two, theirs = (statistics.median(speeds[key]) for key in (1, 2, "theirs"))
            told = [spread(speeds[key]) for key in (1, 2, "theirs")]
            rows.append([path.name, name, *told, f"{one / theirs:.2f}", f"{two / one:.2f}"])
    head = ["tokenizer", "text", "hearth, 1 thread", "2 threads", "tokenizers, 1 thread", "over theirs", "2 over 1"]
    table("tokenizing, MB/s: median (smallest to largest)", head, rows)


def encode_there(tokenizer, text, output):
    """One turn of tokenizers, in a process of its own: prints MB/s of encoding, without reading the files."""
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(tokenizer)
    raw = Path(text).read_bytes()
    decoded = raw.decode("utf-8")
    began = time.perf_counter()
    ids = encoder.encode(decoded, add_special_tokens=False).ids
    seconds = time.perf_counter() - began
    numpy.array(ids, dtype="<u4").tofile(output)
    print(len(raw) / seconds / 1e6)


if __name__ == "__main__":
    encode_there(*sys.argv[1:])
