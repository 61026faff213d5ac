"""Runs the benchmarks and writes one page of results, with the machine and the versions.

    python benchmarks/run.py                        # all that this environment can run: hours
    python benchmarks/run.py --only views step --output results.md
    python benchmarks/run.py --list

The page is written after every script, so that what was measured is kept when it is interrupted.
Leave the machine alone meanwhile.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
# name -> the script and its arguments; several scripts measure more than one thing.
RUNS = {
    "views": ("views.py",),
    "decoding": ("decoding.py",),
    "layouts": ("layouts.py",),
    "imagenet": ("imagenet.py",),
    "loss": ("nt_xent.py",),
    "loss-growth": ("nt_xent.py", "--growth"),
    "growth": ("growth.py",),
    "step": ("step.py",),
    "filter-gradient": ("filter_gradient.py",),
    "micro-batches": ("micro_batches.py",),
    "encoders": ("encoders.py", "peers"),
    "embed": ("embed.py",),
    "embed-224": ("embed.py", "--image-size", "224"),
    "embed-memory": ("embed.py", "--memory"),
    "search": ("search.py",),
    "map": ("map_page.py",),
    "knn": ("knn.py",),
    "head": ("head_initialisation.py",),
    "recipes": ("recipes.py", "--minutes", "16"),
    "keras-cv": ("keras_cv_trainer.py",),
}
_PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "keras-cv", "simclr_keras")
_CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def can_run(name: str) -> bool:
    """KerasCV's trainer needs Keras 2; its peers in other scripts run on both."""
    is_keras_2 = importlib.metadata.version("keras").startswith("2.")
    return name != "keras-cv" or is_keras_2


def machine() -> list[str]:
    """Lines about the processor, the memory and the versions."""
    model, features = platform.processor() or platform.machine(), []
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        text = info.read_text()
        model = next(
            (line.split(":")[1].strip() for line in text.splitlines() if "model name" in line),
            model,
        )
        features = [name for name in _CPU_FEATURES if f" {name} " in f"{text} "]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [
        f"{package} {importlib.metadata.version(package)}"
        for package in _PACKAGES
        if importlib.util.find_spec(
            package.replace("-", "_").replace("scikit_learn", "sklearn")
        )
    ]
    return [
        f"{datetime.date.today():%-d %B %Y}",
        f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB"
        + (f" ({', '.join(features)})" if features else ""),
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        + ", ".join(versions),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--output", default="benchmarks.md")
    parser.add_argument("--peer-python", help="a Python with lightly and PyTorch, for `step`")
    parser.add_argument("--list", action="store_true", help="show the commands only")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.only if can_run(name)]
    lines = ["# Benchmarks", "", *(f"- {line}" for line in machine())]
    failed = []
    for name in chosen:
        script, *options = RUNS[name]
        if name == "step" and arguments.peer_python:
            options += ["--peer-python", arguments.peer_python]
        shown = " ".join(["python", f"benchmarks/{script}", *options])
        print(shown, flush=True)
        if arguments.list:
            continue
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(HERE / script), *options],
            text=True,
            capture_output=True,
        )
        minutes = (time.perf_counter() - began) / 60
        # Tables of Markdown as they are; aligned columns as code.
        text = done.stdout.strip()
        text = text if text.lstrip().startswith("|") else f"```\n{text}\n```"
        lines += ["", f"## {name}", "", f"`{shown}` ({minutes:.0f} minutes)", "", text]
        if done.returncode:
            failed.append(name)
            reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
            lines += ["", f"Failed with exit code {done.returncode}: {reason[0]}"]
        pathlib.Path(arguments.output).write_text("\n".join(lines) + "\n")
    if failed:
        sys.exit(f"These failed: {', '.join(failed)}; {arguments.output} says why.")


if __name__ == "__main__":
    main()
