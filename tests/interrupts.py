"""Signals at chosen moments: what is said, the exit code, what is left, and how it goes on.

`python tests/interrupts.py` prints a table. After each signal the command is repeated; what is then
there is compared with that of a command that was left alone, to the last bit, as in `kills.py`.
"""

import argparse
import os
import pathlib
import signal
import sys
import tempfile

from kills import Commands, differences, start, state

SHOWN = "simclr_keras.training.show_progress:ShowProgress.on_train_batch_end"
PRETRAIN = {
    "while images are found": "simclr_keras.runs.pretrain:check_images#1",
    "before the first step": "simclr_keras.runs.pretrain:start_summary#1",
    "while the step is traced": "simclr_keras.training.step:contrast_batch#1",
    "first step": f"{SHOWN}#1",
    "a step of the second interval": f"{SHOWN}#5",
    "between intervals": "simclr_keras.training.callbacks:RunHistory.on_epoch_end#1",
    "while images are measured": "simclr_keras.runs.monitor:Monitor._note#2",
    "while a checkpoint is written": "simclr_keras.training.checkpoints:write_checkpoint#2",
    "last step": f"{SHOWN}#10",
    "while the networks are saved": "simclr_keras.runs.directory:save_encoder#2",
}
OTHERS = {
    "fine-tune": {
        "before the first step": "simclr_keras.runs.fine_tune:fine_tune#1",
        "a step": f"{SHOWN}#7",
        "while test images are measured": "simclr_keras.runs.fine_tune:measure#1",
    },
    "distill": {"a step": f"{SHOWN}#7"},
    "embed": {"a batch": "simclr_keras.embeddings.file:_Rows.add#2"},
    "evaluate": {
        "features": "simclr_keras.runs.measure_encoder:extract_features#2",
        "linear evaluation": "simclr_keras.evaluation.linear_probe:LinearProbe.fit#1",
    },
    "export": {"while it is traced": "simclr_keras.serving.export:reusable#1"},
}
CHECKPOINTS = {"fine-tune": "fine-tuned/*/", "distill": "distilled/*/"}
ORDER = ["pretrain", "evaluate", "fine-tune", "distill", "export", "embed"]


def interrupt(commands: Commands, command: str, moment: str, number: int):
    """Sends a signal and repeats the command, unless it was only asked to save.

    Returns:
        The exit code, the last line that was said, the steps of its checkpoints, the largest
        difference at the end and the files that differ.
    """
    folder = commands.copy(command)
    result = start(folder, commands.arguments(command), moment, number).finish()
    assert "Traceback" not in result.stderr, result.stderr
    said = (result.stderr.splitlines() or [""])[-1]
    saved = folder.glob(f"run/checkpoints/{CHECKPOINTS.get(command, '')}ckpt-*.index")
    steps = sorted(int(path.stem.partition("-")[2]) for path in saved)
    if result.returncode:
        again = start(folder, commands.arguments(command)).finish()
        assert again.returncode == 0, again.stderr
    states = [_with_the_last_checkpoint(x) for x in (commands.expected[command], state(folder))]
    return result.returncode, said, steps, *differences(*states)


def _with_the_last_checkpoint(found: dict) -> dict:
    """The last three are kept, one of them now that of the signal."""
    steps = [int(name.split("ckpt-")[1].split(".")[0]) for name in found if "/ckpt-" in name]
    last = f"/ckpt-{max(steps)}."
    return {name: x for name, x in found.items() if "/ckpt-" not in name or last in name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--both", action="store_true", help="both signals at each moment")
    options = parser.parse_args()
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    failed = False
    print(
        "| command | moment | signal | exit code | says | checkpoints | difference | differs |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        commands = Commands(pathlib.Path(temporary), "digits")
        commands.prepare(ORDER)
        for command, moments in {"pretrain": PRETRAIN, **OTHERS}.items():
            numbers = [signal.SIGINT, signal.SIGTERM]
            cases = [
                (where, each)
                for place, where in enumerate(moments)
                for each in (numbers if options.both else [numbers[place % 2]])
            ]
            if command in ("pretrain", "fine-tune", "distill"):
                cases += [(list(moments)[len(moments) // 2], signal.SIGUSR1)]
            for where, number in cases:
                code, said, steps, largest, names = interrupt(
                    commands, command, moments[where], number
                )
                expected = 0 if number == signal.SIGUSR1 else 128 + number
                failed |= code != expected or bool(largest or names)
                print(
                    f"| {command} | {where} | {number.name} | {code} | {said} | {steps} | "
                    f"{largest:g} | {names or '-'} |",
                    flush=True,
                )
    sys.exit(failed)


if __name__ == "__main__":
    main()
