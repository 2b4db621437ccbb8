"""Runs the checks named on the command line (all, when none is) and ends with 1 if any failed."""

import os
import platform
import sys
from importlib import import_module, metadata

from bench import failures, hearth

CHECKS = ("checkpoints", "vocabulary", "tokenizer", "training")


def describe_machine():
    with open("/proc/cpuinfo") as file:
        processor = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    peers = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "tokenizers"))
    print(f"{processor}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.2f}; {peers}")
    print(hearth("--version").output.strip(), flush=True)


def main(arguments):
    quick = "--quick" in arguments
    describe_machine()
    for name in [argument for argument in arguments if argument != "--quick"] or CHECKS:
        try:
            import_module(name).run(quick)
        except RuntimeError as error:
            failures.append(f"{name} came to no end")
            print(f"FAILED  {name} came to no end: {error}", flush=True)
    print(f"{len(failures)} checks failed" if failures else "every check held")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
