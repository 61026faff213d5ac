"""TensorFlow's own log lines do not reach the user; what a crash says does."""

import pytest
from processes import run_script

SCRIPT = """
import os, sys
from simclr_keras.cli.native_log import hide_native_log

hide_native_log()
print("ours", file=sys.stderr)
for line in (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795744374.729240    5971 port.cc:153] oneDNN custom operations are on.",
    "E0000 00:00:1795744404.774329    6087 cuda_platform.cc:52] failed call to cuInit",
    "2026-11-27 01:54:00.160164: E external/cuda_dnn.cc:9261] Unable to register cuDNN factory",
    "another library",
    "F0000 00:00:1795744404.774329    6087 tensor.cc:1] Check failed: 1 == 2",
    "no end of line",
):
    os.write(2, (line + "\\n" * (line != "no end of line")).encode())
END
"""


@pytest.mark.parametrize("end, code", [("", 0), ("os.abort()", -6)])
def test_only_chatter_is_dropped(end, code):
    result = run_script(SCRIPT.replace("END", end), new=True)  # its pipe waits for the child
    assert result.returncode == code
    kept = [line for line in result.stderr.splitlines() if "core dumped" not in line]
    assert sorted(kept) == [
        "F0000 00:00:1795744404.774329    6087 tensor.cc:1] Check failed: 1 == 2",
        "another library",
        "no end of line",
        "ours",
    ]


def test_a_program_that_replaced_standard_error_keeps_it():
    script = "import io, sys; sys.stderr = io.StringIO()\n" + SCRIPT.replace("END", "")
    assert "cuInit" in run_script(script, new=True).stderr
