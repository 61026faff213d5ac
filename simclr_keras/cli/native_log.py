"""`hide_native_log`: keeps the chatter of TensorFlow's C++ code away from the user."""

import os
import re
import signal
import sys

# absl's and TensorFlow's formats of INFO, WARNING and ERROR. ERROR too: without a GPU, TensorFlow
# logs errors about CUDA; what fails is also raised in Python. FATAL passes.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IWE]\d{4} \d\d:\d\d:"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
    rb"|To enable the following instructions: "
)


def hide_native_log() -> None:
    """Sends file descriptor 2 through a child process that drops TensorFlow's log lines.

    Environment variables do not silence them: some are written while TensorFlow is loaded, before
    it reads its log level. `sys.stderr` is not filtered. A child process, unlike a thread, still
    forwards what this process writes when it crashes. Call before TensorFlow is imported and
    before there are threads. Does nothing where processes cannot fork, or a program has replaced
    `sys.stderr`.
    """
    if not hasattr(os, "fork") or sys.stderr is not sys.__stderr__ or sys.stderr is None:
        return
    sys.stderr.flush()
    reading, writing = os.pipe()
    real = os.dup(2)
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM):  # ends when the other processes do
            signal.signal(number, signal.SIG_IGN)
        os.close(writing)
        os.dup2(real, 1)  # does not keep the command's standard output open
        _forward(reading, real)
        os._exit(0)
    os.close(reading)
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = os.fdopen(real, "w", buffering=1, errors="backslashreplace")


def _forward(reading: int, writing: int) -> None:
    """Copies lines, except chatter, until the pipe is closed."""
    rest = b""
    while block := os.read(reading, 65536):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if not _CHATTER.match(line):
                os.write(writing, line + b"\n")
    if rest and not _CHATTER.match(rest):
        os.write(writing, rest)
