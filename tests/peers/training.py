"""tokens/s and peak memory of hearth and of PyTorch: the same weights, rows, update rule and clipping, taking turns.

Every turn is a process of its own, so that its peak memory is its own; the first steps of each are not counted. PyTorch
runs transformers' Llama with fused AdamW, eager and compiled; in bf16 both keep f32 weights and moments (torch.autocast
there), and a second line has PyTorch with everything in bf16, which is less work and another result.
"""

import json
import random
import statistics
import sys
from pathlib import Path

from bench import call, check, folder, hearth, log_lines, spread, table, write_recipe, write_rows

SHAPE = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "vocab_size": 32000,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
SMALL = {**SHAPE, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL |= {"num_key_value_heads": 4, "vocab_size": 1000}
PEER = Path(__file__).parent / "torch_steps.py"
WARM_UP = 2
# Losses after the same few steps: f32 rounds at 6e-8, and AdamW's first steps move near-zero gradients by the full rate
# either way; in bf16 each side rounds its own eight bits.
LOSS_BOUND = {"f32": 1e-4, "bf16": 1e-2}


def by_hearth(model, rows, dtype, steps, length, into, turn):
    run = into / f"run_{dtype}_{turn}"
    recipe = write_recipe(
        into / "recipe.yaml",
        model_name_or_path=model,
        stage="pt",
        finetuning_type="full",
        datasets=[{"path": str(rows)}],
        packing="none",
        shuffle=False,
        cutoff_len=length,
        max_steps=steps,
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        weight_decay=0.1,
        dtype=dtype,
        logging_steps=1,
        save_only_model=True,
        output_dir=run,
    )
    peak = hearth("train", recipe, "--progress", "none").peak_gb
    lines = [line for line in log_lines(run) if "loss" in line]
    # total_tokens / throughput are the seconds since the start; one step is the difference of two.
    ends = [line["total_tokens"] / line["throughput"] for line in lines]
    return [b - a for a, b in zip(ends[WARM_UP - 1 :], ends[WARM_UP:])], [line["loss"] for line in lines], peak


def by_torch(model, rows, dtype, compiled, steps):
    ran = call([sys.executable, PEER, model, rows, dtype, compiled, steps])
    answer = json.loads(ran.output.splitlines()[-1])
    return answer["seconds"][WARM_UP:], answer["losses"], ran.peak_gb


class Side:
    """One program in one mode: the seconds of all its counted steps, its losses, its peak memory."""

    def __init__(self):
        self.seconds, self.losses, self.peak, self.trouble = [], [], 0.0, ""

    def take(self, turn):
        if self.trouble:
            return
        try:
            seconds, self.losses, peak = turn()
        except RuntimeError as error:
            self.trouble = str(error).strip().splitlines()[-1][:120]
            return
        self.seconds += seconds
        self.peak = max(self.peak, peak)


def race(dtype, model, rows, length, turns, steps, into):
    sides = {"hearth": Side(), "PyTorch eager": Side(), "PyTorch compiled": Side()}
    if dtype == "bf16":
        sides["PyTorch, all bf16"] = Side()
    for turn in range(turns):
        sides["hearth"].take(lambda: by_hearth(model, rows, dtype, steps, length, into, turn))
        sides["PyTorch eager"].take(lambda: by_torch(model, rows, dtype, 0, steps))
        sides["PyTorch compiled"].take(lambda: by_torch(model, rows, dtype, 1, steps))
        if dtype == "bf16":
            sides["PyTorch, all bf16"].take(lambda: by_torch(model, rows, "bf16-pure", 0, steps))
    return sides


def report(dtype, sides, length):
    for name, side in sides.items():
        check(not side.trouble, f"{dtype}: {name} did not run: {side.trouble}")
    peers = [side for name, side in sides.items() if name in ("PyTorch eager", "PyTorch compiled") and side.seconds]
    fastest = min((statistics.median(side.seconds) for side in peers), default=float("nan"))
    rows = []
    for name, side in sides.items():
        if side.seconds:
            speeds = [length / seconds for seconds in side.seconds]
            ratio = statistics.median(side.seconds) / fastest
            rows.append([name, spread(speeds), len(speeds), f"{ratio:.2f}", f"{side.peak:.2f}", f"{side.losses[-1]:.5f}"])
    head = [dtype, "tokens/s", "steps", "time over the faster PyTorch's", "peak GB", "last loss"]
    table(f"training in {dtype}: median (smallest to largest)", head, rows)
    mine, theirs = sides["hearth"], sides["PyTorch eager"]
    if mine.seconds and theirs.seconds:
        apart = max(abs(a - b) / b for a, b in zip(mine.losses, theirs.losses))
        check(len(mine.losses) == len(theirs.losses), f"{dtype}: {len(mine.losses)} losses against {len(theirs.losses)}")
        check(apart <= LOSS_BOUND[dtype], f"{dtype}: losses are {apart:.1e} apart, allowed {LOSS_BOUND[dtype]:.0e}")


def run(quick):
    shape, length, turns, steps = (SMALL, 128, 1, 4) if quick else (SHAPE, 1024, 3, WARM_UP + 3)
    draw = random.Random(1)
    with folder() as into:
        rows = [[draw.randrange(shape["vocab_size"]) for _ in range(length)] for _ in range(steps)]
        written = write_rows(into / "rows.jsonl", [(row, row) for row in rows])
        call([sys.executable, PEER, "--make", into / "model", json.dumps(shape)])
        for dtype in ("f32", "bf16"):
            report(dtype, race(dtype, into / "model", written, length, turns, steps, into), length)
