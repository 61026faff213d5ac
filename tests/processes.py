"""Scripts in processes of their own (one strategy per process)."""

import gc
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parent.parent

# Importing TensorFlow takes seconds: one process imports it and Keras, and is copied for each
# script. It neither runs TensorFlow nor imports this package.
_IMPORTED = multiprocessing.get_context("forkserver")
_IMPORTED.set_forkserver_preload(["tensorflow", "keras"])


def _execute(script, arguments, cwd, env, outputs):
    for stream, file in zip((sys.stdout, sys.stderr), outputs):
        with open(file, "ab") as written:
            os.dup2(written.fileno(), stream.fileno())
    os.chdir(cwd)
    os.environ.update(env)
    gc.freeze()  # see pytest_collection_finish
    gc.set_threshold(50_000, 20, 20)
    sys.argv = ["-c", *arguments]
    sys.path[:0] = ["", str(ROOT)]
    exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})


class Script:
    """A script that runs in its own process, a copy of one that has imported TensorFlow.

    Args:
        script: Python text.
        arguments: Strings for `sys.argv[1:]`.
        cwd: Folder to run in.
        env: Environment variables beside those of this process.
        together: Whether what is written to stderr counts as written to stdout.
    """

    def __init__(self, script: str, *arguments: str, cwd=ROOT, env=None, together=False):
        self._folder = tempfile.TemporaryDirectory()
        names = ("stdout", "stdout" if together else "stderr")
        self._outputs = [os.path.join(self._folder.name, name) for name in names]
        environment = {**os.environ, **(env or {})}
        self._process = _IMPORTED.Process(
            target=_execute, args=(script, arguments, cwd, environment, self._outputs)
        )
        self._process.start()

    def await_line(self, text: str) -> None:
        """Waits until a line of stdout with this text was written."""
        while not any(text in line for line in self._written(0).splitlines()):
            assert self._process.exitcode is None, self.finish()
            time.sleep(0.02)

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def finish(self, timeout=600) -> subprocess.CompletedProcess:
        """What it returned and wrote; after so many seconds it is killed."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise subprocess.TimeoutExpired("a script", timeout)
        written = [self._written(0), self._written(1)]
        return subprocess.CompletedProcess("a script", self._process.exitcode, *written)

    def _written(self, output: int) -> str:
        file = pathlib.Path(self._outputs[output])
        return file.read_text() if file.exists() else ""


def run_script(
    script: str, *arguments: str, cwd=ROOT, env=None, new=False, timeout=600
) -> subprocess.CompletedProcess:
    """Runs a script in its own process.

    Args:
        script: Python text.
        arguments: Strings for `sys.argv[1:]`.
        cwd: Folder to run in.
        env: Environment variables beside those of this process.
        new: Whether the process starts with nothing imported, for scripts whose subject is
            what is imported, or whose variables TensorFlow reads while it is imported.
        timeout: Seconds after which the process is killed.
    """
    if not new:
        return Script(script, *arguments, cwd=cwd, env=env).finish(timeout)
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def python(script: str, *arguments: str, **options) -> str:
    """Like `run_script`, and returns what it wrote to stdout; failure is an error."""
    result = run_script(script, *arguments, **options)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout
