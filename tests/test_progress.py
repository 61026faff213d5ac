"""What a Python program sees of a long call."""

import pytest

SCRIPT = """
import logging
{before}
from simclr_keras.progress import progress_shown

@progress_shown()
def work():
    logging.getLogger("simclr_keras").info("step 1/2")
    {during}
    with progress_shown():  # as `quickstart` calls `pretrain`
        logging.getLogger("simclr_keras").info("step 2/2")

work()
logging.getLogger("simclr_keras").info("silent again")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "before, during, expected",
    [
        ("", "", "step 1/2\nstep 2/2\n"),
        # As MLflow and absl do when a run begins: each line came twice from then on.
        ("", "logging.basicConfig()", "step 1/2\nstep 2/2\n"),
        # Handlers of the program are used, and not twice.
        (
            "logging.basicConfig(format='mine: %(message)s')",
            "",
            "mine: step 1/2\nmine: step 2/2\n",
        ),
        ("logging.getLogger('simclr_keras').setLevel('WARNING')", "", ""),
    ],
    ids=["no logging", "configured later", "a program's own handler", "silenced"],
)
def test_progress_is_shown_unless_the_program_says_otherwise(
    run_python, before, during, expected
):
    redirect = "import sys; sys.stderr = sys.stdout\n"
    assert run_python(redirect + SCRIPT.format(before=before, during=during)) == expected
