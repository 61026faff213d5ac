"""A few hundred of the mutated images of `fuzz_serving.py`."""

import pytest
from fuzz_serving import Served, megabytes, mutations

from simclr_keras import export_encoder


@pytest.mark.slow
def test_mutated_images_are_answered_or_refused(tiny_encoder, tmp_path):
    served = Served(export_encoder(tiny_encoder, tmp_path / "tiny"))
    before = megabytes()
    for number, content in enumerate(mutations(300, seed=1)):
        served.take(content)
        if number % 20 == 0:
            served.check()
    served.check()
    assert served.answered > 30 and served.refused > 30
    assert megabytes() - before < 100
