"""Models that hearth trained and exported, loaded in transformers: equal logits, losses and gradients.

float32: both programs round, so they may differ by hearth's bound against exact arithmetic (2e-6 of the largest logit,
1e-5 of a gradient's norm) plus transformers' own error there (8e-7 and 2.6e-6, measured against float64).
bfloat16: hearth may be as far from float32 as twice what transformers in bfloat16 is, measured beside it.
"""

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from bench import DATA, MODELS, check, folder, hearth, table, write_recipe, write_rows

LOGITS_F32, GRADIENT_F32, LOSS_F32 = 2e-6 + 8e-7, 1e-5 + 2.6e-6, 2e-6 + 8e-7


def train_and_export(model, expected, into):
    """Two steps away from the given weights, so that the export is hearth's own."""
    rows = [row for batch in zip(expected["input_ids"], expected["labels"]) for row in zip(*batch)]
    batch = expected["input_ids"].shape[1]
    recipe = write_recipe(
        into / "recipe.yaml",
        model_name_or_path=model,
        stage="pt",
        finetuning_type="full",
        datasets=[{"path": str(write_rows(into / "rows.jsonl", rows))}],
        packing="none",
        shuffle=False,
        cutoff_len=expected["input_ids"].shape[2],
        per_device_train_batch_size=batch,
        max_steps=2,
        learning_rate=2e-3,
        lr_scheduler_type="constant",
        dtype="f32",
        output_dir=into / "run",
    )
    hearth("train", recipe, "--progress", "none")
    hearth("export", into / "run", "--to", "hf", "--output", into / "hf")
    return into / "hf"


def by_hearth(model, ids, labels, dtype, into):
    save_file({"input_ids": ids, "labels": labels}, into / "x.safetensors")
    arguments = ["probe", model, "--input", into / "x.safetensors", "--output", into / "y.safetensors"]
    hearth(*arguments, "--gradients", "--set", f"dtype={dtype}")
    answer = load_file(into / "y.safetensors")
    gradients = {name.removeprefix("gradient."): g.double() for name, g in answer.items() if name.startswith("gradient.")}
    return answer["logits"].double(), answer["loss"].double().item(), gradients


def by_transformers(model, ids, labels, dtype):
    network = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation="eager")
    logits = network(input_ids=ids.long()).logits
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), labels[:, 1:].long().flatten(), ignore_index=-100
    )
    loss.backward()
    gradients = {name: parameter.grad.double() for name, parameter in network.named_parameters()}
    return logits.detach().double(), loss.item(), gradients


def errors(mine, truth):
    """Largest error of the logits over the largest logit; of the loss; of the worst gradient, and its name."""
    logits = ((mine[0] - truth[0]).abs().max() / truth[0].abs().max()).item()
    loss = abs(mine[1] - truth[1]) / truth[1]
    worst = max(((mine[2][name] - g).norm() / g.norm().clamp_min(1e-30)).item() for name, g in truth[2].items())
    return logits, loss, worst


def run(quick):
    rows = []
    for name in MODELS:
        source = DATA / "golden" / "models" / name
        expected = load_file(source / "expected.safetensors")
        ids, labels = expected["input_ids"][0].contiguous(), expected["labels"][0].contiguous()
        with folder() as into:
            model = train_and_export(source, expected, into)
            truth = by_transformers(model, ids, labels, torch.float32)
            mine = by_hearth(model, ids, labels, "f32", into)
            one_sided = sorted(mine[2].keys() ^ truth[2].keys())
            if not check(not one_sided, f"{name}: only one side has gradients of {one_sided}"):
                continue
            f32 = errors(mine, truth)
            bf16 = errors(by_hearth(model, ids, labels, "bf16", into), truth)
            peer = errors(by_transformers(model, ids, labels, torch.bfloat16), truth)
        for what, error, bound in zip(("logits", "loss", "gradient"), f32, (LOGITS_F32, LOSS_F32, GRADIENT_F32)):
            check(error <= bound, f"{name}: f32 {what} differ by {error:.2e}, allowed {bound:.2e}")
        for what, error, other in zip(("logits", "gradient"), (bf16[0], bf16[2]), (peer[0], peer[2])):
            check(error <= 2 * other, f"{name}: bf16 {what} differ by {error:.2e}, transformers' by {other:.2e}")
        # The peer's error of a mean may be near nothing by luck, so half of bf16's spacing is allowed in any case.
        loss_bound = max(2 * peer[1], 2**-9)
        check(bf16[1] <= loss_bound, f"{name}: bf16 loss differs by {bf16[1]:.2e}, transformers' by {peer[1]:.2e}")
        rows.append([name, *(f"{x:.1e}" for x in f32), *(f"{x:.1e} / {y:.1e}" for x, y in zip(bf16, peer))])
    head = ["exported by hearth", "f32 logits", "loss", "worst gradient", "bf16 logits", "loss", "worst gradient"]
    table("hearth against transformers in float32 (bf16: hearth's error / transformers' own)", head, rows)
