"""Fills the disk under real commands, makes room, repeats them, and compares the end.

`python tests/full_disk.py --fills 36` prints a table: what was left free from when on, the exit code,
what was said, what was wrong, and the largest difference after the repetition to a command that
always had room (0: equal to the last bit, as in `kills.py`). The disk is a tmpfs in a mount namespace
of this program, so it needs root or user namespaces. A part of it is `test_full_disk.py`.
"""

import argparse
import itertools
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import moments
from kills import Commands, choose, differences, start, state

DISK = 192 * 2**20  # bytes
ORDER = ["pretrain", "evaluate", "fine-tune", "distill", "export", "embed"]
LEFT = (0, 2**12, 2**15, 2**18)  # bytes
_SAID = re.compile(r"disk is full|No space left|no room for|it needs [\d.,]+ MB")
# In the process of a command: a signal fills the disk.
_FILL = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import moments
signal.signal(signal.SIGUSR2, lambda *_: moments.fill_up({filler!r}, {left}))
"""


class FullDisk:
    """Commands on a small disk.

    Args:
        disk: Where the disk is mounted.
    """

    def __init__(self, disk: pathlib.Path):
        self._filler = disk / "filler"
        self.commands = Commands(disk / "work", "digits")

    def free(self) -> int:
        disk = os.statvfs(self._filler.parent)
        return disk.f_bavail * disk.f_frsize

    def fill(self, command: str, moment: str | None, left: int):
        """Runs a command while the disk is filled; repeats it with room if it failed.

        Args:
            command: Its name.
            moment: A moment of `moments.py` at which it is filled; `None` for before the command.
            left: Bytes that are left free.

        Returns:
            The exit code, the last line that was said, what was wrong, and the largest difference
            at the end.
        """
        folder = self.commands.copy(command)
        before = state(folder)
        if moment is None:
            moments.fill_up(str(self._filler), left)
        tests = str(pathlib.Path(__file__).parent)
        first = _FILL.format(tests=tests, filler=str(self._filler), left=left)
        arguments = self.commands.arguments(command)
        result = start(folder, arguments, moment, signal.SIGUSR2, first=first).finish()
        self._filler.unlink(missing_ok=True)
        lines = [line for line in result.stderr.splitlines() if line.strip()] or [""]
        wrong = []
        if "Traceback" in result.stderr:
            wrong.append("a traceback")
        expected = self.commands.expected[command]
        if result.returncode or any(differences(expected, state(folder))):
            # The page of a run may be missing: that does not cost its result.
            is_said = _SAID.search(lines[-1]) and "unexpected" not in lines[-1]
            if result.returncode not in (0, 1) or not is_said:
                wrong.append("does not say that the disk is full")
            wrong += half_written(before, folder, expected)
            again = start(folder, arguments).finish()
            if again.returncode:
                wrong.append(f"repeated: {(again.stderr.splitlines() or [''])[-1]}")
        largest, names = differences(expected, state(folder))
        wrong += [f"{name} differs" for name in names]
        left_over = [str(p) for p in folder.rglob(".*unfinished-*")]
        wrong += [f"{name} is left" for name in left_over]
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        return result.returncode, lines[-1], wrong, largest


def half_written(before: dict, folder: pathlib.Path, expected: dict) -> list[str]:
    """What a command that failed has left that looks finished and is not."""
    from simclr_keras.training.checkpoint_files import saved_steps, why_damaged

    try:
        found = state(folder)  # reads every file
    except Exception as error:
        return [f"a file cannot be read: {error}"]
    wrong = []
    for checkpoints in {path.parent for path in folder.rglob("ckpt-*.index")}:
        damaged = [why_damaged(checkpoints, step) for step in saved_steps(checkpoints)]
        wrong += [reason for reason in damaged if reason]
    # An export and a classifier are folders that appear as a whole.
    for place in ("model/1/", "run/fine-tuned/", "run/distilled/"):
        new = {n for n in found.keys() - before.keys() if n.startswith(place)}
        whole = {n for n in expected.keys() - before.keys() if n.startswith(place)}
        if new and new != whole:
            wrong.append(f"{place} lacks {sorted(whole - new)}")
    return wrong


def cases(command: str, commands: Commands, count: int, seed: int = 0):
    """So many (moment, bytes left): half filled before the command, from nothing to enough left."""
    at_once = -(-count // 2)
    most = 1.5 * commands.bytes[command]
    amounts = [int(most * place / at_once) for place in range(at_once)]
    chosen = choose(commands.writes[command], count - at_once, str(seed))
    return [(None, left) for left in amounts] + list(zip(chosen, itertools.cycle(LEFT)))


def in_own_namespace(*arguments: str) -> list[str] | None:
    """A command line that runs this program where it may mount; `None` if nothing may."""
    for unshare in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        with tempfile.TemporaryDirectory() as folder:
            mount = [*unshare, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
            try:
                done = subprocess.run(mount, capture_output=True)
            except FileNotFoundError:
                return None
        if done.returncode == 0:
            return [*unshare, sys.executable, __file__, "--inside", *arguments]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=36, help="of all commands")
    parser.add_argument("--only", nargs="*", default=ORDER)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    if not options.inside:
        command = in_own_namespace(*sys.argv[1:])
        if command is None:
            sys.exit(
                "A small disk cannot be mounted here: this needs root, or user namespaces."
            )
        sys.exit(subprocess.run(command).returncode)
    failed = filled = 0
    with tempfile.TemporaryDirectory() as temporary:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", temporary]
        subprocess.run(mount, check=True)
        try:
            disk = FullDisk(pathlib.Path(temporary))
            last = max(ORDER.index(each) for each in options.only)
            disk.commands.prepare(ORDER[: last + 1])
            print("| command | filled | left | exit code | says | wrong | difference |")
            print("|---|---|---|---|---|---|---|")
            for command in options.only:
                share = -(-options.fills // len(options.only))
                for moment, left in cases(command, disk.commands, share, options.seed):
                    code, said, wrong, largest = disk.fill(command, moment, left)
                    failed += bool(wrong or largest)
                    filled += 1
                    when = "before" if moment is None else f"at {moment}"
                    said = said.replace(temporary, "DISK")
                    print(
                        f"| {command} | {when} | {left:,} | {code} | {said} | "
                        f"{'; '.join(wrong) or '-'} | {largest:g} |",
                        flush=True,
                    )
        finally:
            subprocess.run(["umount", "-l", temporary], check=True)
    print(f"{filled} disks filled, {failed} with something wrong")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
