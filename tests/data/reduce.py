#!/usr/bin/env python3
"""Makes tests/data out of the shared known answers: python3 tests/data/reduce.py [SHARED]. Needs only the standard library.

What is copied and what is left out stands in README.md beside this file. Running it again changes nothing.
"""

import hashlib
import json
import shutil
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = ("llama-gqa", "llama-tied", "llama3-rope-scaling", "qwen2", "qwen2-yarn", "qwen3", "mistral-window")
# The packed gradients of these three reach what the others' reach too: windows, tied heads, biases, scaled angles.
WITH_PACKED_GRADIENTS = ("llama-tied", "mistral-window", "qwen2-yarn")
SAMPLE_BYTES = 32768


def read_safetensors(path):
    """{name: (entry, bytes)} and the file's metadata."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    data = memoryview(raw)[8 + length :]
    return {name: (entry, data[slice(*entry["data_offsets"])]) for name, entry in header.items()}, metadata


def write_safetensors(path, tensors, metadata):
    """Widest elements first, so that every tensor lies on a multiple of its own size."""
    width = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2}
    order = sorted(tensors, key=lambda name: (-width[tensors[name][0]["dtype"]], name))
    header, offset = {"__metadata__": dict(sorted(metadata.items()))}, 0
    for name in order:
        entry, data = tensors[name]
        header[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(tensors[name][1])


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def reduce_models(shared):
    for model in MODELS:
        source, target = shared / "golden/models" / model, HERE / "golden/models" / model
        copy(source / "config.json", target / "config.json")
        copy(source / "model.safetensors", target / "model.safetensors")
        tensors, metadata = read_safetensors(source / "expected.safetensors")
        dropped = ["train.weight."] + ([] if model in WITH_PACKED_GRADIENTS else ["packed.gradient."])
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(tuple(dropped))}
        write_safetensors(target / "expected.safetensors", kept, metadata)


def copy_optim(shared):
    for name in ("adamw.json", "adamw.safetensors", "schedules.json"):
        copy(shared / "golden/optim" / name, HERE / "golden/optim" / name)


def reduce_tokenizer(shared):
    """The small tokenizer's rows, without the lines about whole files that are not here."""
    lines = (shared / "golden/tokenizers/stories260K.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    target = HERE / "golden/tokenizers/stories260K.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(line for line in lines if "file" not in json.loads(line)), encoding="utf-8")


def copy_stories(shared):
    """The weights in bfloat16, in two shards; golden.json says what both forms give."""
    source, target = shared / "data/models/stories260K", HERE / "models/stories260K"
    for name in ("generation_config.json", "golden.json", "tokenizer.json", "tokenizer_config.json"):
        copy(source / name, target / name)
    for file in sorted((source / "bf16-sharded").iterdir()):
        copy(file, target / file.name)


def copy_bad_files(shared):
    """All but the two that are a whole model: a test makes their like from a good file."""
    source, target = shared / "data/vectors/badfiles/safetensors", HERE / "vectors/badfiles/safetensors"
    small = {}
    for name, expectation in json.loads((source / "EXPECT.json").read_text()).items():
        if expectation["size"] < 4096:
            small[name] = expectation
            copy(source / name, target / name)
    (target / "EXPECT.json").write_text(json.dumps(small, indent=1) + "\n")


def cut_samples(shared):
    """The beginning of two texts, cut at a line's end."""
    for name in ("tinyshakespeare.txt", "honglou.txt"):
        raw = (shared / "data/corpora" / name).read_bytes()[:SAMPLE_BYTES]
        target = HERE / "corpora" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw[: raw.rindex(b"\n") + 1])


def main():
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "../../../shared").resolve()
    if not (shared / "golden").is_dir():
        sys.exit(f"{shared} holds no golden/: name the folder of the shared known answers")
    for step in (reduce_models, copy_optim, reduce_tokenizer, copy_stories, copy_bad_files, cut_samples):
        step(shared)
    files = sorted(path for path in HERE.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes, SHA-256 of all {digest}")


if __name__ == "__main__":
    main()
