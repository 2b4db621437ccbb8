"""Bad input: named, with the documented exit code, and what was there before untouched."""

import json
import os
import shutil
import subprocess

import cli_support as cli

# What a run that ended before its first step leaves in its folder: that it is one, and the rows it complains about.
LEFT = ("run", ".hearth-cache")


class BrokenSafetensors(cli.CliTest):
    def test_are_refused_by_name(self):
        folder = cli.data / "vectors/badfiles/safetensors"
        expected = json.loads((folder / "EXPECT.json").read_text())
        files = sorted(folder.glob("*.safetensors"))
        self.assertGreater(len(files), 25)
        for path in files:
            answer = self.run_hearth("inspect", path)
            expect = expected[path.name]["expect"]
            with self.subTest(path.name, expect=expect):
                self.assertEqual(answer.code, 0 if expect == "ok" else 3, answer)
                self.assertIn(path.name, answer.text)
                if expect not in ("ok", "reject", "reject-or-ok"):
                    self.assertIn(expect, answer.err)


class BadData(cli.CliTest):
    def refused_data(self, says, **keys):
        """By train and by prepare alike; mended data then train in the same folder."""
        recipe = self.recipe(**keys)
        for verb in ("prepare", "train"):
            answer = self.refused(3, says, verb, recipe, leaves=LEFT)
            self.assertFalse(list((self.folder / "run").glob("step-*")), answer)
        return recipe

    def test_text_that_is_not_utf8(self):
        self.write("bad.txt", b"a good line\na bad \xff line\n")
        self.refused_data(["bad.txt", "not UTF-8", "line 2", "byte offset 18", "0xff", "convert it to UTF-8"],
                          datasets="bad.txt")
        rows = [json.loads(line) for line in (self.folder / "run/left_out_rows.jsonl").read_text().splitlines()]
        self.assertEqual(len(rows), 1)
        self.refused(3, ["bad.txt", "not UTF-8"], "tokenize", cli.stories, "--input", "bad.txt", "--output", "ids")
        self.refused(3, ["bad.txt", "not UTF-8"], "eval", cli.stories, "--data", "bad.txt", "--cache-dir",
                     self.folder / ".hearth-cache", leaves=LEFT)
        self.write("bad.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n')
        self.refused(3, "bad.jsonl", "tokenize", cli.stories, "--input", "bad.jsonl", "--output", "ids")

    def test_rows_that_eval_cannot_use(self):
        self.write("qa.jsonl", '{"text": "a"}\n')
        for words in (["--data", "bad.txt"], ["--qa", "qa.jsonl"]):
            self.write("bad.txt", b"\xff")
            answer = self.refused(3, ["1 row cannot be used", words[1], "line 1", "Mend it"], "eval", cli.stories,
                                  *words)
            self.assertNotIn("left_out_rows", answer.err)  # there is no such file
            self.assertNotIn("bad_rows", answer.err)  # eval has no such key
        self.refused(2, "corpus.txt is one text, and rows of prompt_completion are wanted", "eval", cli.stories,
                     "--qa", self.corpus())

    def test_rows_that_were_left_out_are_said_and_stay_listed(self):
        self.write("rows.jsonl", '{"text": "once upon a time"}\n{"txt": "b"}\n{"text": "there was a little girl"}\n')
        self.write("qa.jsonl", '{"prompt": "Once upon a", "completion": " time"}\n')
        out = self.good("train", self.recipe(datasets="rows.jsonl", packing="none", bad_rows="drop", bad_rows_limit=1,
                                             domain_qa="qa.jsonl")).out
        self.assertIn("note: 1 row was left out: see run/left_out_rows.jsonl", out)
        rows = [json.loads(line) for line in (self.folder / "run/left_out_rows.jsonl").read_text().splitlines()]
        self.assertEqual([(row["file"], row["line"]) for row in rows], [("rows.jsonl", 2)])

    def test_an_empty_corpus(self):
        self.write("empty.txt", "")
        self.refused_data(["empty.txt", "empty"], datasets="empty.txt")

    def test_a_folder_without_texts(self):
        (self.folder / "nothing").mkdir()
        recipe = self.recipe(datasets="nothing")
        answer = self.run_hearth("train", recipe)
        self.assertIn(answer.code, (2, 3), answer)
        self.assertIn("nothing", answer.err)

    def test_a_corpus_shorter_than_one_row(self):
        self.write("short.txt", "short")
        self.refused_data(["shorter than one row", "cutoff_len is 32", "lower cutoff_len"], datasets="short.txt")
        # What the message says helps, in the same folder.
        self.good("train", self.recipe(datasets="short.txt", packing="none", max_steps=1))

    def test_rows_that_are_not_what_they_should_be(self):
        self.write("rows.jsonl", '{"text": "a"}\n{"txt": "b"}\nnot json\n')
        self.refused_data(["rows.jsonl, line 2", "rows.jsonl, line 3", "bad_rows: drop"], datasets="rows.jsonl")
        self.write("alpaca.json", '[{"instruction": "a", "output": "b"}]')
        answer = self.run_hearth("train", self.recipe(datasets="alpaca.json"))
        self.assertIn(answer.code, (2, 3), answer)
        self.assertIn("alpaca.json", answer.err)
        self.write("rows.parquet", b"PAR1 and so on PAR1")
        answer = self.run_hearth("train", self.recipe(datasets="rows.parquet"))
        self.assertIn(answer.code, (2, 3), answer)
        self.assertIn("parquet", answer.err)


class Models(cli.CliTest):
    def model(self, **changes):
        """A copy of a small model whose configuration is changed."""
        folder = self.folder / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(cli.data / "golden/models/llama-gqa", folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        return folder

    def test_mathematics_that_is_not_known_is_refused_by_name(self):
        for key, value in [("attention_bias", True), ("mlp_bias", True), ("hidden_act", "gelu"),
                           ("partial_rotary_factor", 0.5), ("model_type", "mamba"), ("model_type", "qwen3_moe"),
                           ("rope_scaling", {"rope_type": "dynamic", "factor": 2.0})]:
            says = "dynamic" if key == "rope_scaling" else value if key == "model_type" else key
            self.refused(3, ["config.json", str(says)], "inspect", self.model(**{key: value}))

    def test_keys_of_its_config_that_nobody_knows_are_noted_once(self):
        self.write("rows.jsonl", '{"input_ids": [1, 2, 3]}\n')
        folder = self.model(clip_qkv=8, dropout=0.1, use_cache=False, top_k=None)
        keys = {"model_name_or_path": folder, "datasets": "rows.jsonl", "packing": "none", "max_steps": 1}
        recipe = self.recipe(**keys)
        note = f"note: {folder}/config.json has keys that hearth does not know: clip_qkv, dropout;"
        for words, ranks in [(["recipe", "check"], 0), (["prepare"], 0), (["prepare"], 2), (["train"], 2)]:
            with self.subTest(words=words, ranks=ranks):
                answer = self.good(*words, recipe, ranks=ranks)
                self.assertEqual(answer.text.count(note), 1, answer)
        self.assertIn('"clip_qkv": 8', (self.folder / "run/step-1/config.json").read_text())
        self.assertNotIn("does not know", self.good("recipe", "check", self.recipe("plain.yaml", output_dir="plain")).text)
        self.refused(3, "is_causal is false", "inspect", self.model(is_causal=False))

    def test_weights_that_do_not_fit(self):
        folder = self.model(vocab_size=300)
        self.refused(3, "embed_tokens", "generate", folder, "--ids", "1")
        (folder / "model.safetensors").unlink()
        self.refused(3, "safetensors", "generate", folder, "--ids", "1")
        folder = self.model()
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[:-4])
        self.refused(3, "model.safetensors", "inspect", folder)
        self.refused(3, "no tokenizer", "generate", cli.data / "golden/models/llama-gqa", "--prompt", "a")


class OutputFolders(cli.CliTest):
    def test_with_another_run_in_it(self):
        self.good("train", self.recipe(max_steps=2))
        other = self.recipe("other.yaml", learning_rate="2.0e-3")
        for verb in ("train", "prepare"):
            self.refused(2, ["run holds a run of another recipe", "learning_rate: was 0.001, is now 0.002",
                             "another output_dir"], verb, other, leaves=("run/run.lock",))

    def test_with_something_else_in_it(self):
        self.write("run/notes.txt", "mine")
        for verb in ("train", "prepare"):
            self.refused(2, ["notes.txt", "no run of hearth", "a new folder"], verb, self.recipe())
        self.refused(2, ["recipe.yaml", "is a file"], "train", self.recipe(output_dir="recipe.yaml"))
        self.refused(2, ["run", "holds something"], "export", cli.stories, "--output", "run")

    def test_where_nothing_may_be_written(self):
        """As another user, where the tests are root's; else in a folder without the right to write."""
        os.chmod(self.folder, 0o755)
        recipe = self.recipe(output_dir="closed/run", cache_dir="cache")
        (self.folder / "closed").mkdir()
        prefix = ()
        if os.geteuid() == 0:
            if not self.readable_by_nobody():
                return cli.not_run(self.id(), "user nobody cannot read the program or the source")
            prefix = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        else:
            os.chmod(self.folder / "closed", 0o555)
        (self.folder / "cache").mkdir()
        os.chmod(self.folder / "cache", 0o777)
        for name in ("secret.yaml", "secret.txt"):
            shutil.copy(recipe if name.endswith("yaml") else self.folder / "corpus.txt", self.folder / name)
        self.refused(4, "closed/run", "train", recipe, prefix=prefix)
        self.refused(4, "closed", "export", cli.stories, "--output", "closed/new", prefix=prefix)
        self.refused(4, "closed", "tokenize", cli.stories, "--input", "corpus.txt", "--output", "closed/ids",
                     prefix=prefix)
        self.unreadable(prefix, recipe)
        return None

    def unreadable(self, prefix, recipe):
        """What may not be read or looked at is 4 as well, whoever asks for it."""
        shutil.copytree(cli.stories, self.folder / "model")
        (self.folder / "hidden").mkdir()
        for path in ("secret.yaml", "secret.txt", "model/tokenizer.json", "hidden"):
            os.chmod(self.folder / path, 0)
        for name, *words in [("secret.yaml", "train", "secret.yaml"), ("secret.yaml", "recipe", "check", "secret.yaml"),
                             ("secret.txt", "train", recipe, "--set", "datasets=secret.txt", "--set",
                              "output_dir=cache/r"),
                             ("secret.txt", "eval", cli.stories, "--data", "secret.txt"),
                             ("tokenizer.json", "generate", "model", "--prompt", "a"), ("hidden", "inspect", "hidden"),
                             ("hidden", "generate", "hidden", "--prompt", "a")]:
            self.refused(4, [name, "ermission denied"], *words, prefix=prefix, leaves=("cache",))
        os.chmod(self.folder / "hidden", 0o755)

    def readable_by_nobody(self):
        drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        if shutil.which("setpriv") is None:
            return False
        probe = subprocess.run([*drop, cli.hearth, "inspect", str(cli.stories)], capture_output=True, check=False)
        return probe.returncode == 0


if __name__ == "__main__":
    cli.main()
