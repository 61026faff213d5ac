"""Kills real commands, repeats them, and compares the end with that of one that was left alone.

`python tests/kills.py --kills 60` prints a table: where, how often, the largest difference (0: every
weight, every number of the optimizer, every row and result is equal to the last bit), and what else
differs. A part of it is `test_kills.py`.
"""

import argparse
import collections
import contextlib
import csv
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import zipfile

import numpy as np
from processes import ROOT, Script

SMALL = (
    "--encoder simclr_resnet18 --width-multiplier 0.125 --small-image-stem --image-size 8 "
    "--batch-size 16 --checkpoint-every 4 --steps 10 --color-jitter-strength 0 "
    "--grayscale-probability 0 --no-blur --run-dir run"
).split()
# Each in a folder that holds what the commands before it made.
COMMANDS = {
    "pretrain": ["pretrain", "--dataset", "DATA", *SMALL],
    "evaluate": ["evaluate", "run"],
    "fine-tune": "fine-tune run --labels-per-class 4 --steps 40".split(),
    "distill": "distill run --steps 40 --batch-size 16".split(),
    "export": "export run --output model".split(),
    "embed": "embed model DATA --output e.npz".split(),
    "embed .parquet": "embed model DATA --output e.parquet".split(),
}
_CHILD = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import moments
import tensorflow as tf
from simclr_keras.networks.resnet import BLOCK_GROUPS
BLOCK_GROUPS[18] = ((0, 0, 0, 1), False)  # a network of one block
tf.config.optimizer.set_experimental_options({{"disable_meta_optimizer": True}})
from simclr_keras.cli.main import main
moments.install(os.getcwd(), {moment!r}, {number})
sys.argv = ["simclr-keras", *sys.argv[1:]]
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a script
main()
"""
# A signature is one of a place; a repeated command is one more call.
_LEFT_OUT = {"date", "created", "signature", "calls"}


def start(
    folder, arguments, moment=None, number=signal.SIGKILL, first="", **environment
) -> Script:
    """A command in a folder, which a signal may meet at a moment; see `moments.py`.

    `first` is what its process does first, as Python text.
    """
    script = _CHILD.format(tests=str(ROOT / "tests"), moment=moment, number=int(number))
    script = first + script
    return Script(script, *arguments, cwd=folder, env=environment)


def write_images(folder: pathlib.Path, count: int = 40) -> pathlib.Path:
    """A folder of small images in two classes, which a network can tell apart."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for index in range(count):
        name = ("dark", "light")[index % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(index % 2 * 100, index % 2 * 100 + 155, (10, 9, 3), "uint8")
        Image.fromarray(pixels).save(folder / name / f"{index:02}.png")
    return folder


def state(folder: pathlib.Path) -> dict[str, object]:
    """What commands have left in a folder, by file: arrays, rows and values, without the times."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    names = {str(p.relative_to(folder)): p for p in files}
    return {
        name: _content(path, folder)
        for name, path in names.items()
        if not any(part.startswith(".") for part in pathlib.Path(name).parts)
        and "tensorboard" not in name
        and not re.search(r"ckpt-\d+\.json$", name)  # a whole checkpoint may lack its list
    }


def _content(path: pathlib.Path, folder: pathlib.Path):
    if path.suffix == ".keras":
        import h5py

        arrays: dict[str, np.ndarray] = {}
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as stream:
            with h5py.File(stream, "r") as file:
                file.visititems(
                    lambda name, item: arrays.update(
                        {name: item[()]} if isinstance(item, h5py.Dataset) else {}
                    )
                )
        return arrays
    if path.suffix == ".npz":
        with np.load(path) as saved:
            return _anywhere({key: saved[key].tolist() for key in saved.files}, folder)
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pydict()
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [{k: v for k, v in row.items() if k != "images_per_second"} for row in rows]
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        if path.name == "results.json":  # a measurement may be repeated
            measured = [
                json.dumps([e["measured"], e["result"]], sort_keys=True) for e in content
            ]
            content = list(dict.fromkeys(measured))
        return _anywhere(content, folder)
    if path.suffix in (".pb", ".html"):  # TensorFlow writes graphs in any order
        return None
    return np.frombuffer(path.read_bytes(), np.uint8)


def _anywhere(value, folder: pathlib.Path):
    """JSON without its times, and without the place of the folder or that of its copies."""
    if isinstance(value, dict):
        return {k: _anywhere(v, folder) for k, v in value.items() if k not in _LEFT_OUT}
    if isinstance(value, list):
        return [_anywhere(each, folder) for each in value]
    place = rf"{re.escape(str(folder.parent))}/[^/]+"
    return re.sub(place, "FOLDER", value) if isinstance(value, str) else value


def differences(expected: dict, found: dict) -> tuple[float, list[str]]:
    """The largest difference between two numbers, and the names of the files that differ."""
    largest, names = 0.0, sorted(expected.keys() ^ found.keys())
    for name in expected.keys() & found.keys():
        difference = _difference(expected[name], found[name])
        if difference:
            largest = max(largest, difference)
            names.append(name)
    return largest, names


def _difference(a, b) -> float:
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((_difference(a[key], b[key]) for key in a), default=0.0)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape:
        if a.tobytes() == b.tobytes():
            return 0.0
        if a.dtype.kind == "f":
            return max(float(np.abs(a - b).max()), np.finfo(a.dtype).tiny)
    return 0.0 if type(a) is type(b) and _equal(a, b) else float("inf")


def _equal(a, b) -> bool:
    return a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b


class Commands:
    """The commands of one data set, and what each leaves when it is left alone.

    Args:
        folder: A place for everything.
        data: What to train on.
    """

    def __init__(self, folder: pathlib.Path, data: str):
        self._folder, self._data = folder, data
        self._count = 0
        self._before: dict[str, pathlib.Path] = {}
        self.expected: dict[str, dict] = {}
        self.writes: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}  # on the disk, that it adds

    def arguments(self, command: str) -> list[str]:
        return [self._data if word == "DATA" else word for word in COMMANDS[command]]

    def copy(self, command: str) -> pathlib.Path:
        """A folder in which everything before a command was done."""
        self._count += 1
        return shutil.copytree(self._before[command], self._folder / f"{self._count}")

    def prepare(self, commands: list[str]) -> None:
        """Runs commands without a fault, one after the other, and lists their writes."""
        done = self._folder / "done"
        done.mkdir(parents=True)
        for command in commands:
            self._before[command] = shutil.copytree(done, self._folder / f"before {command}")
            before = _bytes_in(done)
            log = self._folder / f"writes of {command}"
            began = time.monotonic()
            process = start(done, self.arguments(command), WRITES=str(log))
            result = process.finish()
            assert result.returncode == 0, result.stderr
            self.seconds[command] = time.monotonic() - began
            self.writes[command] = log.read_text().splitlines()
            self.bytes[command] = _bytes_in(done) - before
            self.expected[command] = state(done)

    def kill(self, command: str, moment: str | None, after: float | None = None):
        """Kills a command and repeats it.

        Args:
            command: Its name.
            moment: A moment of `moments.py`; or
            after: A time in seconds.

        Returns:
            Whether it was killed, the exit code and last words of its repetition, the largest
            difference, the files that differ, and what is left of unfinished ones.
        """
        folder = self.copy(command)
        process = start(folder, self.arguments(command), moment)
        if after is not None:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):  # it was faster
                process.send_signal(signal.SIGKILL)
        killed = process.finish().returncode == -signal.SIGKILL
        again = start(folder, self.arguments(command)).finish()
        said = (again.stderr.splitlines() or [""])[-1]
        found = state(folder)
        if command == "export":
            found = _newest_version_only(found)
        largest, names = differences(self.expected[command], found)
        left = [p for p in folder.rglob(".*unfinished-*") if p.name[0] == "."]
        shutil.rmtree(folder)
        return killed, again.returncode, said, largest, names, len(left)


def _bytes_in(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*"))


def _newest_version_only(found: dict) -> dict:
    """One that was killed after its last rename has made a version: the repetition makes another."""
    versions = sorted({m[1] for m in (re.match(r"model/(\d+)/", name) for name in found) if m})
    others = {f"model/{version}/" for version in versions[:-1]}
    found = {n: v for n, v in found.items() if not n.startswith(tuple(others) or "\0")}
    return {n.replace(f"model/{versions[-1]}/", "model/1/"): v for n, v in found.items()}


def choose(writes: list[str], count: int, seed: str) -> list[str]:
    """So many moments, as different ones as possible first."""
    draw = random.Random(seed)
    writes = [w for w in writes if "tensorboard" not in w]
    kinds = collections.defaultdict(list)
    for moment in writes:
        kinds[re.sub(r"\d+", "0", moment)].append(moment)
    groups = [draw.sample(group, len(group)) for group in kinds.values()]
    draw.shuffle(groups)
    chosen: list[str] = []
    while len(chosen) < min(count, len(writes)):
        chosen += [group.pop() for group in groups if group][: count - len(chosen)]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60, help="of all commands and data")
    parser.add_argument("--only", nargs="*", default=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    table: dict = collections.defaultdict(lambda: [0, 0.0, [], 0])
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        sets = {"digits": "digits", "folder": str(write_images(root / "images"))}
        for data, name in sets.items():
            commands = Commands(root / data, name)
            last = max(list(COMMANDS).index(each) for each in options.only)
            commands.prepare(list(COMMANDS)[: last + 1])
            share = -(-options.kills // (len(sets) * len(options.only)))
            for command in options.only:
                at_random = max(1, share // 3)
                moments: list = choose(
                    commands.writes[command], share - at_random, options.seed
                )
                seconds = commands.seconds[command]
                moments += [draw.uniform(0.3, 1.0) * seconds for _ in range(at_random)]
                for moment in moments:
                    is_time = isinstance(moment, float)
                    killed, code, said, largest, names, left = commands.kill(
                        command, None if is_time else moment, moment if is_time else None
                    )
                    where = "at random" if is_time else re.sub(r"\d+#\d+|#\d+", "", moment)
                    row = table[data, command, where]
                    row[0] += killed
                    row[1] = max(row[1], largest)
                    row[2] += [n for n in names if n not in row[2]] + (
                        [f"exit code {code}: {said}"] if code else []
                    )
                    row[3] += left
                    failed |= bool(largest or names or code)
                    print(data, command, moment, killed, code, largest, names, file=sys.stderr)
    print("| data | command | moment | kills | largest difference | differs | left |")
    print("|---|---|---|---|---|---|---|")
    for (data, command, where), (kills, largest, names, left) in table.items():
        print(
            f"| {data} | {command} | {where} | {kills} | {largest:g} | {names or '-'} | {left} |"
        )
    total = sum(row[0] for row in table.values())
    print(
        f"{total} kills, {sum(bool(r[1] or r[2]) for r in table.values())} rows with differences"
    )
    sys.exit(failed)


if __name__ == "__main__":
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    main()
