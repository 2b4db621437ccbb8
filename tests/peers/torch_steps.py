"""PyTorch's side of the race, in a process of its own: trains a Llama on the given rows and prints one JSON line.

    torch_steps.py MODEL ROWS DTYPE COMPILED STEPS     (DTYPE f32, bf16 or bf16-pure; COMPILED 0 or 1)
    torch_steps.py --make MODEL CONFIG                 (writes a fresh model with the given config.json)
"""

import json
import os
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def make(folder, config):
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**json.loads(config))).to(torch.float32).save_pretrained(folder)


def main(folder, rows, dtype, compiled, steps):
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    pure = dtype == "bf16-pure"
    network = LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16 if pure else torch.float32, attn_implementation="sdpa", use_cache=False
    ).train()
    if compiled == "1":
        network.compile()
    decayed = [p for p in network.parameters() if p.dim() >= 2]
    others = [p for p in network.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), eps=1e-8, fused=True)
    seconds, losses = [], []
    with open(rows) as file:
        batches = [torch.tensor([json.loads(line)["input_ids"]]) for line in file]
    for ids in batches[: int(steps)]:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            loss = network(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "losses": losses}))


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        make(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
