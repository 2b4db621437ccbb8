"""What is typed: help, misspelt words, files of the wrong kind, recipes with mistakes."""

import re
import shutil

import cli_support as cli

VERBS = {"prepare": "RECIPE", "train": "RECIPE", "verify": "RECIPE", "eval": "MODEL_OR_RUN", "generate": "MODEL_OR_RUN", "export": "RUN",
         "tokenize": "TOKENIZER", "probe": "MODEL", "inspect": "PATH", "plan": "RECIPE",
         "recipe": "recipe copy NAME FILE"}


class Help(cli.CliTest):
    def test_fits_a_screen(self):
        for words in [["--help"], ["-h"], ["help"], *([verb, "--help"] for verb in VERBS)]:
            answer = self.good(*words)
            lines = answer.out.splitlines()
            self.assertLessEqual(len(lines), 24, answer)
            self.assertLessEqual(max(map(len, lines)), 80, answer)
            self.assertTrue(lines[0].startswith("usage: hearth"), answer)
            self.assertEqual(answer.err, "", answer)

    def test_names_every_verb_and_exit_code(self):
        text = self.good("--help").out
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", text)
        for code in self.codes():
            self.assertRegex(text, rf"[ \n]{code} ")

    def codes(self):
        """Those of the source."""
        header = (cli.source / "base/error.h").read_text()
        kinds = header[header.index("enum class Kind {"):]
        found = [int(number) for number in re.findall(r"^  \w+ = (\d+),", kinds[:kinds.index("};")], re.M)]
        self.assertIn(70, found)
        return [0, *found]

    def test_the_table_of_exit_codes_is_the_sources(self):
        page = (cli.source / "docs/exit_codes.md").read_text()
        table = page[:page.index("Codes that hearth does not give")]
        self.assertEqual([int(number) for number in re.findall(r"^\| (\d+) \|", table, re.M)], self.codes())

    def test_version_names_what_it_was_built_of(self):
        text = self.good("--version").out
        for part in ("hearth ", "GCC", "Open MPI", "oneDNN", "HDF5", "device"):
            self.assertIn(part, text)

    def test_nothing_said_is_answered_with_what_can_be_said(self):
        self.refused(2, "usage: hearth VERB")
        for verb, needs in VERBS.items():
            self.refused(2, [needs, f"usage: hearth {verb}"], verb)


class Misspelt(cli.CliTest):
    def test_verbs(self):
        self.refused(2, ["`trian`", "did you mean `train`?"], "trian", "recipe.yaml")
        self.refused(2, ["`frobnicate`", "hearth --help"], "frobnicate")
        self.refused(2, ["`--hlep`", "did you mean `--help`?"], "--hlep")
        self.refused(2, ["`version`", "did you mean `--version`?"], "version")
        self.assertEqual(self.good("help", "train").out, self.good("train", "--help").out)
        self.refused(2, ["chek", "did you mean `check`?"], "recipe", "chek", "x.yaml")

    def test_options(self):
        for verb, wrong, right in [("train", "--progess", "--progress"), ("generate", "--promt", "--prompt"),
                                   ("generate", "--temprature=1", "--temperature"), ("eval", "--dat", "--data"),
                                   ("export", "--ouput", "--output"), ("inspect", "--tensor", "--tensors")]:
            self.refused(2, [wrong.split("=")[0], f"did you mean {right}?", f"hearth {verb} --help"], verb, "x", wrong)
        self.refused(2, ["--zzzzzz", "hearth train --help"], "train", "x", "--zzzzzz")

    def test_words_too_many(self):
        self.refused(2, ["too many", "hearth train --help"], "train", "a", "b")

    def test_values_of_options(self):
        for says, *words in [("--ids: `` is no token id of this model (0 to 511)", "--ids", "1,,2"),
                             ("`512` is no token id", "--ids", "1,512"),
                             ("99999999999999999999", "--ids", "99999999999999999999"),
                             ("one of --prompt TEXT and --ids",),
                             ("one of --prompt TEXT and --ids", "--ids", "1", "--prompt", "a"),
                             ("--temperature nan", "--ids", "1", "--temperature", "nan"),
                             ("--temperature -1", "--ids", "1", "--temperature", "-1"),
                             ("--top-p 0", "--ids", "1", "--top-p", "0"),
                             ("--top-k -3", "--ids", "1", "--top-k", "-3"),
                             ("--seed -1", "--ids", "1", "--seed", "-1"),
                             ("--top-k shapes a draw", "--ids", "1", "--top-k", "5"),
                             ("--seed shapes a draw", "--ids", "1", "--seed", "5"),
                             ("--top-p shapes a draw", "--ids", "1", "--temperature", "0", "--top-p", "0.5"),
                             ("'abc'", "--ids", "1", "--max-new-tokens", "abc"),
                             ("--max-new-tokens 0", "--ids", "1", "--max-new-tokens", "0"),
                             ("--dtype f64: f32 or bf16", "--ids", "1", "--dtype", "f64"),
                             ("--threads 0: a whole number from 1 to 1024", "--ids", "1", "--threads", "0"),
                             ("--threads 2000", "--ids", "1", "--threads", "2000")]:
            self.refused(2, says, "generate", cli.stories, *words)
        for wrong in ("0", "-5"):
            self.refused(2, f"--shard-bytes {wrong}: a whole number from 1", "export", cli.stories, "--output", "new",
                         "--shard-bytes", wrong)
        recipe = self.recipe()
        self.refused(2, ["--progress fancy", "bar, lines or none"], "train", recipe, "--progress", "fancy")
        self.refused(2, "key=value", "train", recipe, "--set", "nonsense")


class WrongFiles(cli.CliTest):
    def test_that_are_missing(self):
        for verb, *more in [("generate", "--prompt", "a"), ("eval", "--data", "a"), ("inspect",),
                            ("export", "--output", "new"), ("tokenize", "--input", "a", "--output", "b"),
                            ("probe", "--input", "a", "--output", "b")]:
            self.refused(3, "no-such-folder", verb, "no-such-folder", *more)
        self.refused(2, "no-such.yaml", "train", "no-such.yaml")
        self.refused(2, "no-such.yaml", "prepare", "no-such.yaml")
        self.refused(2, "no-such.yaml", "recipe", "check", "no-such.yaml")
        self.refused(3, "no-such.txt", "eval", cli.stories, "--data", "no-such.txt")
        self.refused(3, "no-such.txt", "tokenize", cli.stories, "--input", "no-such.txt", "--output", "ids")
        self.refused(3, "no-such.st", "probe", cli.stories, "--input", "no-such.st", "--output", "y")

    def test_of_another_kind(self):
        text = self.corpus()
        self.refused(3, "name the folder of a model", "generate", cli.stories / "config.json", "--prompt", "a")
        self.refused(3, "holds no model", "generate", self.folder, "--prompt", "a")
        self.refused(3, "corpus.txt", "inspect", text)
        self.refused(3, "corpus.txt", "tokenize", text, "--input", text, "--output", "ids")
        self.refused(3, "corpus.txt", "probe", cli.stories, "--input", text, "--output", "y")
        self.refused(3, "", "inspect", self.folder)
        self.refused(2, "it is a folder", "train", cli.stories)
        self.refused(2, "unknown key `hidden_size`", "train", cli.stories / "config.json")
        weights = cli.stories / "model-00001-of-00002.safetensors"
        self.refused(2, ["model-00001-of-00002.safetensors:1", "not UTF-8"], "train", weights)


    def test_that_are_to_be_written(self):
        """Where the folder is missing, where a folder is, and where the input is."""
        text = self.corpus()
        model = shutil.copytree(cli.stories, self.folder / "model")
        tokens = self.write("x.safetensors", "{}")
        (self.folder / "folder").mkdir()
        for verb, of, source in [("tokenize", model, text), ("probe", model, tokens)]:
            words = [verb, of, "--input", source, "--output"]
            self.refused(2, "there is no folder nowhere", *words, "nowhere/y")
            self.refused(2, "--output folder: it is a folder", *words, "folder")
            self.refused(2, ["it would take the place of", "name another file"], *words, source)
            self.refused(2, "it would take the place of", *words, f"folder/../{source.name}")
        self.refused(2, "it would take the place of", "tokenize", model / "tokenizer.json", "--input", text, "--output",
                     "model/tokenizer.json")

    def test_that_inspect_does_not_know(self):
        self.write("notes/a.txt", "a")
        self.refused(3, ["notes/a.txt", "nothing that inspect knows"], "inspect", "notes/a.txt")
        self.refused(3, ["notes holds no model, token store, checkpoint or run"], "inspect", "notes")


class Recipes(cli.CliTest):
    def test_five_mistakes_get_five_messages(self):
        recipe = self.recipe("five.yaml", model_name_or_path="/nowhere", lerning_rate=1, max_steps="many",
                             packing="tight", datasets="/no/corpus")
        for words in (["recipe", "check"], ["train"], ["prepare"]):
            answer = self.refused(2, ["five.yaml: 5 mistakes", "`/nowhere`", "`/no/corpus`", "nearest: `learning_rate`",
                                      "max_steps: `many`", "packing: `tight`"], *words, recipe)
            lines = answer.err.splitlines()
            self.assertEqual(len(lines), 6, answer)
            for line in lines[1:]:
                self.assertRegex(line, r"five\.yaml:\d+: ")

    def test_overrides_are_checked_like_the_file(self):
        recipe = self.recipe()
        self.refused(2, ["learnig_rate", "nearest: `learning_rate`"], "train", recipe, "--set", "learnig_rate=0.1")
        self.refused(2, ["finetuning_type", "lora"], "train", recipe, "--set", "finetuning_type=lora")

    def test_a_pattern_that_was_not_quoted(self):
        answer = self.refused(2, ["not YAML", "a text that begins with * stands in quotes"], "train", self.recipe(),
                              "--set", "datasets=*.txt")
        self.assertEqual(answer.err.count("--set"), 1, answer)

    def test_what_comes_with_the_program(self):
        # As installed: bin/hearth beside share/hearth/recipes.
        (self.folder / "bin").mkdir()
        program = shutil.copy2(cli.hearth, self.folder / "bin/hearth")
        self.refused(4, ["share/hearth/recipes", "install"], "recipe", "list", program=program)
        shutil.copytree(cli.source / "recipes", self.folder / "share/hearth/recipes")
        names = [line.split()[0] for line in self.good("recipe", "list", program=program).out.splitlines()]
        self.assertEqual(names, sorted(path.stem for path in (cli.source / "recipes").glob("*.yaml")))
        for name in names:
            text = (cli.source / f"recipes/{name}.yaml").read_text()
            self.assertEqual(self.good("recipe", "show", name, program=program).out, text)
            self.good("recipe", "copy", name, f"{name}.mine", program=program)
            self.assertEqual((self.folder / f"{name}.mine").read_text(), text)
        self.refused(2, ["quickstrat", "did you mean `quickstart`?"], "recipe", "show", "quickstrat", program=program)
        self.refused(2, "is there already", "recipe", "copy", names[0], f"{names[0]}.mine", program=program)

    def test_a_checked_recipe_is_a_recipe(self):
        whole = self.good("recipe", "check", self.recipe()).out
        self.assertIn("learning_rate: 0.001\n", whole)
        self.assertIn("# default", whole)
        self.assertEqual(self.good("recipe", "check", self.write("whole.yaml", whole)).out.replace("  # default", ""),
                         whole.replace("  # default", ""))
        keys = self.good("recipe", "keys").out
        for key in ("learning_rate", "output_dir", "zero_stage"):
            self.assertIn(key, keys)


if __name__ == "__main__":
    cli.main()
