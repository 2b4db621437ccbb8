"""A vocabulary that hearth learns from a text, against tokenizers' BpeTrainer on the same text: the same merges."""

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bench import check, corpus, folder, hearth, table, write_recipe


def learn(text, size, into):
    """The tokenizer.json that hearth writes when it is asked for a new vocabulary."""
    recipe = write_recipe(
        into / "recipe.yaml",
        model_config={
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 128,
        },
        tokenizer_vocab_size=size,
        stage="pt",
        datasets=[{"path": str(text)}],
        cutoff_len=64,
        max_steps=1,
        cache_dir=into / "cache",
        output_dir=into / "run",
    )
    hearth("prepare", recipe)
    written = sorted(into.rglob("tokenizer.json"))
    if not written:
        raise RuntimeError("hearth prepare wrote no tokenizer.json")
    return written[0]


def merges_of(file):
    """Pairs, in either spelling of the file: "a b" or ["a", "b"]."""
    merges = json.loads(file.read_text())["model"]["merges"]
    return [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in merges]


def learn_there(text, size, like):
    """The same by tokenizers, with the normaliser, pre-tokenizer and special tokens of hearth's file."""
    pattern = Tokenizer.from_file(str(like))
    special = [token["content"] for token in json.loads(like.read_text())["added_tokens"] if token["special"]]
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pattern.pre_tokenizer
    if pattern.normalizer is not None:
        theirs.normalizer = pattern.normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special, show_progress=False
    )
    theirs.train_from_iterator([text.read_bytes().decode("utf-8")], trainer)
    return [tuple(pair) for pair in json.loads(theirs.to_str())["model"]["merges"]]


def run(quick):
    rows = []
    for name in ("tinyshakespeare.txt", "honglou.txt"):
        text = corpus(name)
        size = 4096 if text.stat().st_size > 1e6 else 1000
        with folder() as into:
            file = learn(text, size, into)
            mine, theirs = merges_of(file), learn_there(text, size, file)
        same = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
        next_ones = f"{mine[same:same + 1]} stands against {theirs[same:same + 1]}"
        check(mine == theirs, f"{name}: {same} merges agree, then {next_ones}")
        rows.append([name, size, len(mine), len(theirs), same])
    table("merges of a new vocabulary", ["text", "vocabulary", "hearth", "tokenizers", "equal from the first"], rows)
