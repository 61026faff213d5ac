"""`environment`: what a command runs with, so that a result can be repeated."""

import datetime
import os
import pathlib
import platform
import shlex
import sys

import keras
import tensorflow as tf

from .. import __version__

_PROGRAM = "simclr-keras"


def environment() -> dict[str, str | None]:
    """The `command` (`None` from Python), the `date` in UTC, versions and `processor`."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "command": command_line(),
        "date": now.isoformat("T", "seconds"),
        "version": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "processor": _processor(),
    }


def command_line() -> str | None:
    """The command line of this process, quoted for a shell; `None` in any other program."""
    called = pathlib.Path(sys.argv[0])
    if called.stem != _PROGRAM and called.parts[-2:] != ("simclr_keras", "__main__.py"):
        return None
    return shlex.join([_PROGRAM, *sys.argv[1:]])


def _processor() -> str:
    """The GPUs that TensorFlow sees, or else the name and the cores of the processor."""
    if gpus := tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"{len(gpus)} x {details.get('device_name', 'GPU')}"
    name = platform.processor() or platform.machine()
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else name}, {os.cpu_count()} cores"
