"""One fault, one exit code, whichever verb meets it; and the same words before a run as in it."""

import json
import os
import shutil
import struct
import subprocess

import cli_support as cli
from cli_tensors import Tensor, write_tensors

# What a run that ended before its first step leaves.
LEFT = ("run", ".hearth-cache")
RECIPES = [["train"], ["prepare"], ["recipe", "check"], ["plan"], ["verify"]]  # verbs that take a recipe


def safetensors_of(ids):
    """The bytes of a safetensors file that holds input_ids of one row."""
    header = json.dumps({"input_ids": {"dtype": "I64", "shape": [1, len(ids)], "data_offsets": [0, 8 * len(ids)]}})
    return struct.pack("<Q", len(header)) + header.encode() + struct.pack(f"<{len(ids)}q", *ids)


class FaultTest(cli.CliTest):
    def setUp(self):
        super().setUp()
        self.made = self.recipe()
        self.write("x.safetensors", safetensors_of([1, 5, 9]))

    def same(self, code, says, commands, leaves=LEFT, **how):
        for words in commands:
            with self.subTest(" ".join(map(str, words))):
                self.refused(code, says, *words, leaves=leaves, **how)
                shutil.rmtree(self.folder / "run", ignore_errors=True)

    def with_recipe(self, *settings, verbs=None):
        return [[*verb, self.made, *(word for one in settings for word in ("--set", one))] for verb in verbs or RECIPES]

    def of_model(self, model):
        """Every verb that opens a model's weights."""
        return [["eval", model, "--data", "corpus.txt"], ["generate", model, "--prompt", "a"],
                ["export", model, "--output", "new"], ["inspect", model],
                ["probe", model, "--input", "x.safetensors", "--output", "y"]]

    def copy(self, name="model"):
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(cli.stories, self.folder / name)
        return self.folder / name


class Codes(FaultTest):
    def test_a_missing_recipe(self):
        self.same(2, ["the recipe cannot be read", "none.yaml"], [[*verb, "none.yaml"] for verb in RECIPES])
        (self.folder / "folder.yaml").mkdir()
        self.same(2, ["folder.yaml", "is a folder"],
                  [[*verb, "folder.yaml"] for verb in RECIPES if verb != ["plan"]])  # which takes a model's folder, too

    def test_a_missing_model(self):
        self.same(3, "nowhere", [*self.of_model("nowhere"), *self.with_recipe("model_name_or_path=nowhere"),
                                 ["tokenize", "nowhere", "--input", "corpus.txt", "--output", "y"]])
        (self.folder / "empty").mkdir()
        self.same(3, "empty", [*self.of_model("empty"), *self.with_recipe("model_name_or_path=empty"),
                               ["tokenize", "empty", "--input", "corpus.txt", "--output", "y"]])

    def test_a_broken_model(self):
        model = self.copy()
        (model / "config.json").write_text('{"model_type": "llama", ')
        self.same(3, "config.json", [*self.of_model("model"), *self.with_recipe("model_name_or_path=model")])
        model = self.copy()
        weights = next(model.glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:-4])
        opening = [verb for verb in RECIPES if verb[0] not in ("plan", "verify")]  # for which config.json is enough
        self.same(3, weights.name,
                  [*self.of_model("model"), *self.with_recipe("model_name_or_path=model", verbs=opening)])
        model = self.copy()
        (model / "tokenizer.json").write_text("{")
        self.same(3, "tokenizer.json", [["generate", "model", "--prompt", "a"], ["eval", "model", "--data", "corpus.txt"],
                                        ["tokenize", "model", "--input", "corpus.txt", "--output", "y"],
                                        *self.with_recipe("model_name_or_path=model", verbs=opening)])

    def test_missing_data(self):
        reading = [verb for verb in RECIPES if verb[0] not in ("plan", "verify")]  # which need no data
        for name in ("none.txt", "none/*.jsonl"):
            for key in ("datasets", "eval_dataset"):
                self.same(3, name, self.with_recipe(f"{key}={name}", verbs=reading))
        self.same(3, "none.jsonl", self.with_recipe("domain_qa=none.jsonl", verbs=reading))
        self.same(3, "none", [["eval", cli.stories, "--data", "none.txt"], ["eval", cli.stories, "--qa", "none.jsonl"],
                              ["probe", cli.stories, "--input", "none.st", "--output", "y"],
                              ["tokenize", cli.stories, "--input", "none.txt", "--output", "y"], ["inspect", "none"]])
        # A mistake of the recipe beside it makes it a refused recipe.
        self.same(2, ["none.txt", "warmup_ratio"],
                  self.with_recipe("datasets=none.txt", "warmup_ratio=7", verbs=reading))

    def test_settings_that_are_not_there(self):
        self.same(2, "learning_rat", [*self.with_recipe("learning_rat=1"),
                                      *[[verb, cli.stories, *words, "--set", "learning_rat=1"] for verb, *words in (
                                          ("eval", "--data", "corpus.txt"), ("export", "--output", "new"),
                                          ("probe", "--input", "x.safetensors", "--output", "y"))]])

    def writers(self, file):
        return [["probe", cli.stories, "--input", "x.safetensors", "--output", file],
                ["tokenize", cli.stories, "--input", "corpus.txt", "--output", file],
                ["verify", self.made, "--report", file], ["recipe", "copy", "quickstart", file],
                ["plan", "--measure", "--machine", file]]

    def test_output_where_there_is_no_folder(self):
        self.same(2, "there is no folder nowhere", self.writers("nowhere/y"))
        self.same(2, "there is no folder corpus.txt", self.writers("corpus.txt/y"))
        (self.folder / "folder").mkdir()
        for words in self.writers("folder"):
            with self.subTest(words[0]):
                self.refused(2, "folder", *words)
        making = [verb for verb in RECIPES if verb[0] not in ("plan", "verify")]
        self.same(2, "corpus.txt", [["export", cli.stories, "--output", "corpus.txt"],
                                    *self.with_recipe("output_dir=corpus.txt", verbs=making)])
        self.same(2, "corpus.txt/run", self.with_recipe("output_dir=corpus.txt/run", verbs=making))

    def test_what_may_not_be_read_or_written(self):
        if os.geteuid() != 0:
            return self.closed(())
        drop = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        if shutil.which("setpriv") is None or subprocess.run([*drop, cli.hearth, "inspect", str(cli.stories)],
                                                             capture_output=True, check=False).returncode != 0:
            return cli.not_run(self.id(), "user nobody cannot read the program or the source")
        os.chmod(self.folder, 0o755)
        return self.closed(drop)

    def closed(self, prefix):
        """Of the user that `prefix` makes one."""
        (self.folder / "open").mkdir()
        os.chmod(self.folder / "open", 0o777)
        here = ("output_dir=open/run", "cache_dir=open/cache")
        model = self.copy()
        self.write("hidden/corpus.txt", "text")
        self.write("secret.yaml", self.made.read_text())
        self.write("secret.txt", "text")
        for path in (model / "config.json", self.folder / "hidden", self.folder / "secret.yaml",
                     self.folder / "secret.txt"):
            os.chmod(path, 0)
        how = {"prefix": prefix, "leaves": ("open/", *LEFT)}
        self.same(4, ["secret.yaml", "ermission denied"], [[*verb, "secret.yaml"] for verb in RECIPES], **how)
        opening = [[word.replace("y", "open/y") if word == "y" else word for word in map(str, words)]
                   for words in self.of_model("model")]
        self.same(4, "model", [*opening, *self.with_recipe("model_name_or_path=model", *here)], **how)
        self.same(4, "hidden", self.with_recipe("datasets=hidden/corpus.txt", *here, verbs=RECIPES[:3]), **how)
        reading = [["train"], ["prepare"]]  # a check does not read them
        for words in [*self.with_recipe("datasets=secret.txt", *here, verbs=reading),
                      ["eval", cli.stories, "--data", "secret.txt"],
                      ["tokenize", cli.stories, "--input", "secret.txt", "--output", "open/y"],
                      ["probe", cli.stories, "--input", "secret.txt", "--output", "open/y"]]:
            self.refused(4, ["secret.txt", "ermission denied"], *words, **how)
        (self.folder / "closed").mkdir()
        os.chmod(self.folder / "closed", 0o555)
        self.same(4, ["closed", "ermission denied"],
                  [*self.writers("closed/y"), ["export", cli.stories, "--output", "closed/new"],
                   *self.with_recipe("output_dir=closed/run", "cache_dir=open/cache", verbs=RECIPES[:3])], **how)
        os.chmod(self.folder / "hidden", 0o755)


class Checked(FaultTest):
    """`recipe check` says what `train` would."""

    def both(self, code, *settings):
        said = [self.refused(code, "", *verb, self.made, *(word for one in settings for word in ("--set", one)),
                             leaves=LEFT).err for verb in (["recipe", "check"], ["train"])]
        self.assertEqual(*said)
        return said[0]

    def test_what_the_model_does_not_allow(self):
        self.assertIn("cutoff_len: 4096 is more than the model's max_position_embeddings, 512",
                      self.both(2, "cutoff_len=4096"))
        shape = "{model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, " \
                "num_attention_heads: 2, num_key_value_heads: 2, max_position_embeddings: 64"
        self.made = self.recipe(model_name_or_path=None, tokenizer_name_or_path=cli.stories,
                                model_config=f"{shape}, vocab_size: 600}}")
        self.assertIn("max_position_embeddings, 64", self.both(2, "cutoff_len=65"))
        self.assertIn("hidden_act", self.both(3, "model_config.hidden_act=gelu"))
        self.assertIn("tokens and the model's vocab_size is 300", self.both(2, "model_config.vocab_size=300"))
        self.good("recipe", "check", self.made)
        self.made = self.recipe(model_name_or_path=None, model_config=f"{shape}}}", tokenizer_vocab_size=300)
        before = cli.tree_of(self.folder)
        self.good("recipe", "check", self.made)
        self.assertIn("max_position_embeddings, 64",
                      self.refused(2, "cutoff_len: 65", "recipe", "check", self.made, "--set", "cutoff_len=65").err)
        self.assertEqual(cli.tree_of(self.folder), before)

    def test_what_the_axes_do_not_allow(self):
        for says, *settings in [("tensor_parallel_size: 3", "tensor_parallel_size=3"),
                                ("blocks to share out", "pipeline_parallel_size=64")]:
            self.refused(2, says, *self.with_recipe(*settings, verbs=[["recipe", "check"]])[0])
        self.made = self.recipe(global_batch_size=None, gradient_accumulation_steps=3, pipeline_parallel_size=2,
                                pipeline_schedule="interleaved")
        said = [self.refused(2, "pipeline_schedule: interleaved with 3 microbatches on 2 stages", *verb, self.made, ranks=ranks,
                             leaves=LEFT).err.splitlines()[0]
                for verb, ranks in ((["recipe", "check"], 0), (["train"], 2))]
        self.assertEqual(*said)

    def test_data_and_folders(self):
        (self.folder / "nothing").mkdir()
        self.assertIn("the folder nothing holds no file of", self.both(3, "datasets=nothing"))
        self.assertIn("`**`", self.both(2, "datasets=./**/c*.txt"))
        self.write("other/notes.txt", "mine")
        self.assertIn("holds notes.txt and no run of hearth", self.both(2, "output_dir=other"))
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        self.good("train", self.made, "--set", "max_steps=1")
        self.assertIn("learning_rate: was 0.001, is now 0.5", self.both(2, "learning_rate=0.5"))
        self.assertIn("holds a started run", self.both(2, "resume_from_checkpoint=none"))
        self.good("recipe", "check", self.made)


class Schedules(FaultTest):
    """What a pipeline's schedule does not allow is refused once, before anything is read or made."""

    NONE = [("pipeline_schedule: 1f1b with 2 chunks a stage: it works with 1 alone", "1f1b", 2),
            ("pipeline_schedule: zero_bubble with 3 chunks a stage: it works with 1 alone", "zero_bubble", 3),
            ("pipeline_schedule: interleaved with 1 chunk a stage: it takes 2 or more", "interleaved", 1)]

    def once(self, says, *words, ranks=2):
        answer = self.refused(2, says, *words, ranks=ranks)
        self.assertEqual(answer.err.count("pipeline_schedule: "), 1, answer)
        self.assertNotIn("MPI_ABORT", answer.err, answer)
        return next(line for line in answer.err.splitlines() if "pipeline_schedule: " in line)

    def test_chunks_by_every_verb(self):
        model = self.folder / "no_model_is_looked_for"
        for says, schedule, chunks in self.NONE:
            sets = cli.settings({"pipeline_parallel_size": 2, "pipeline_schedule": schedule, "pipeline_chunks": chunks})
            probe = ["probe", model, "--input", "x.safetensors", "--output", "y"]
            with self.subTest(schedule):
                said = {self.once(says, *words, *sets) for words in (
                    ["train", self.made], ["verify", self.made], probe, [*probe, "--gradients"],
                    ["eval", model, "--data", "corpus.txt"], ["export", model, "--output", "new"])}
                said.add(self.once(says, "recipe", "check", self.made, *sets, ranks=0))
                self.assertEqual(len(said), 1, said)
                self.assertNotIn("on each of", said.pop(), "chunks have nothing to do with microbatches")

    def test_microbatches_where_they_are_known(self):
        sets = cli.settings({"pipeline_parallel_size": 2, "pipeline_schedule": "interleaved"})
        probe = ["probe", cli.stories, "--input", "x.safetensors", "--output", "y", *sets]
        one = "pipeline_schedule: interleaved with 1 microbatch on 2 stages: their number must divide by that of the " \
              "stages; 2 would"
        self.once(one, *probe, "--gradients")
        self.good(*probe, ranks=2)  # the schedule is that of gradients
        (self.folder / "y").unlink()
        for verb, ranks in ((["recipe", "check"], 0), (["train"], 2), (["verify"], 2)):
            self.once(one, *verb, self.made, *sets, "--set", "global_batch_size=1", ranks=ranks)
            self.once("with 3 microbatches on 2 stages", *verb, self.made, *sets, "--set", "global_batch_size=3", "--set",
                      "gradient_accumulation_steps=3", ranks=ranks)
        self.once("; 2 or 4 would (on each of 2 data ranks, of 6 together)", "train", self.made, *sets, "--set",
                  "global_batch_size=6", ranks=4)
        self.good("recipe", "check", self.made, *sets, "--set", "global_batch_size=3")  # 3 data ranks make 1 of it

    def test_keys_without_effect_are_noted(self):
        sets = cli.settings({"pipeline_schedule": "zero_bubble", "pipeline_chunks": 3, "zero_stage": 0,
                             "data_shard_size": 2, "max_steps": 1})
        for words, ranks in ((["recipe", "check"], 0), (["train"], 2), (["verify"], 2)):
            answer = self.good(*words, self.made, *sets, ranks=ranks)
            for key, why in [("pipeline_schedule", "one stage has nothing to schedule"),
                             ("pipeline_chunks", "one stage has nothing to schedule"),
                             ("data_shard_size: 2", "zero_stage: 0, which cuts nothing")]:
                lines = [line for line in answer.text.splitlines() if line.startswith(f"note: {key} has no effect")]
                self.assertEqual([why in line for line in lines], [True], answer)
        for words in (["recipe", "check"], ["verify"]):
            self.assertNotIn("has no effect", self.good(*words, self.made).text)

    def test_a_run_that_goes_on_has_the_microbatches_that_it_began_with(self):
        keys = {"global_batch_size": None, "gradient_accumulation_steps": 1}
        recipe = self.recipe(**keys, max_steps=1, save_steps=1)
        self.good("train", recipe, ranks=2)
        sets = cli.settings({"pipeline_parallel_size": 2, "pipeline_schedule": "interleaved", "max_steps": 2})
        self.good("recipe", "check", recipe, *sets)
        self.good("train", recipe, *sets, ranks=2)  # 2 microbatches on one data rank


class Words(FaultTest):
    def test_ids_without_a_target_have_logits_and_no_loss(self):
        self.write("one.safetensors", safetensors_of([5]))
        words = ["probe", cli.stories, "--input", "one.safetensors", "--output", "y.safetensors"]
        answer = self.good(*words)
        self.assertNotIn("nan", answer.text)
        self.assertIn("1 row(s), logits only", answer.out)
        self.assertIn("note: one.safetensors has no token that is to be predicted, so there is no loss", answer.err)
        raw = (self.folder / "y.safetensors").read_bytes()
        header = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])
        self.assertEqual(set(header) - {"__metadata__"}, {"logits"})
        (self.folder / "y.safetensors").unlink()
        self.refused(3, ["no gradients either", "leave out --gradients"], *words, "--gradients")
        self.assertIn("loss ", self.good(*words[:3], "x.safetensors", *words[4:]).out)

    def test_bytes_that_are_no_utf8_are_found_alike(self):
        for name, raw, line, offset in [("a.txt", b"good\nbad \xff line\n", 2, 9),
                                        ("a.jsonl", b'{"text": "a"}\n\n{"text": "\xc3("}\n', 3, 25)]:
            self.write(name, raw)
            says = [f"{name}", f"not UTF-8: line {line}, byte offset {offset} of the file"]
            told = [self.refused(3, says, *words, leaves=LEFT).err for words in (
                ["tokenize", cli.stories, "--input", name, "--output", "y"],
                ["prepare", self.made, "--set", f"datasets={name}"])]
            self.assertNotIn("no object", told[0])

    def test_tensors_that_probe_does_not_read_are_refused(self):
        ids = Tensor([1, 2, 3, 4], 2, 2)
        for name, says in [("attention_mask", "`attention_mask` is not read"), ("foo", "`foo` is not read"),
                           ("document_starts", "document_starts divide one row")]:
            write_tensors(self.folder / "x", {"input_ids": ids, name: Tensor([0, 1], 2)})
            self.refused(3, says, "probe", cli.stories, "--input", "x", "--output", "y")

    def test_a_pipe_is_no_dataset(self):
        os.mkfifo(self.folder / "pipe.txt")
        for name in ("pipe.txt", "p*.txt"):
            answer = self.run_hearth("prepare", self.made, "--set", f"datasets={name}")
            self.assertEqual(answer.code, 3, answer)
            self.assertIn("no regular file", answer.err, answer)
        for words in (["tokenize", cli.stories, "--input", "pipe.txt", "--output", "ids"],
                      ["tokenize", "pipe.txt", "--input", "corpus.txt", "--output", "ids"], ["train", "pipe.txt"]):
            self.refused(2 if words[0] == "train" else 3, "pipe.txt: it is no regular file (a pipe or a device)", *words)


if __name__ == "__main__":
    cli.main()
