"""Scripts in processes of their own (one strategy per process)."""

import gc
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent

# Importing TensorFlow takes seconds: one process imports it and Keras, and is copied for each
# script. It neither runs TensorFlow nor imports this package.
_IMPORTED = multiprocessing.get_context("forkserver")
_IMPORTED.set_forkserver_preload(["tensorflow", "keras"])


def _execute(script, arguments, cwd, env, outputs):
    for stream, file in zip((sys.stdout, sys.stderr), outputs):
        with open(file, "wb") as written:
            os.dup2(written.fileno(), stream.fileno())
    os.chdir(cwd)
    os.environ.update(env)
    gc.freeze()  # see pytest_collection_finish
    gc.set_threshold(50_000, 20, 20)
    sys.argv = ["-c", *arguments]
    sys.path[:0] = ["", str(ROOT)]
    exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})


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
    command, env = [sys.executable, "-c", script, *arguments], {**os.environ, **(env or {})}
    if new:
        return subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
        )
    with tempfile.TemporaryDirectory() as folder:
        outputs = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        process = _IMPORTED.Process(
            target=_execute, args=(script, arguments, cwd, env, outputs)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, timeout)
        out, err = (pathlib.Path(file).read_text() for file in outputs)
    return subprocess.CompletedProcess(command, process.exitcode, out, err)


def python(script: str, *arguments: str, **options) -> str:
    """Like `run_script`, and returns what it wrote to stdout; failure is an error."""
    result = run_script(script, *arguments, **options)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout
