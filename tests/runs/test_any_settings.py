"""Any values for the settings of `pretrain`: a config that its file gives back, or one `InputError`."""

import dataclasses
import fractions
import json
import typing

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from wild import ANYTHING, NUMBERS, TEXTS, seeded

from simclr_keras import InputError, PretrainConfig
from simclr_keras.runs.setting_sources import read_settings
from simclr_keras.settings import choices_of, kinds_of

FIELDS = [f for f in dataclasses.fields(PretrainConfig) if "help" in f.metadata]
HINTS = typing.get_type_hints(PretrainConfig)
GIVEN = {"dataset": "digits", "run_dir": "run"}
SCHEDULES = ("16@0,24@0.4,224@0.8", "224@0", "16@0", "a\n@b")


def _of_its_kind(name: str) -> st.SearchStrategy:
    kinds = kinds_of(HINTS[name])
    if choices_of(HINTS[name]):
        return st.sampled_from(choices_of(HINTS[name]))
    if name == "image_size_schedule":
        return st.sampled_from(SCHEDULES)
    if bool in kinds:
        return st.booleans()
    if str in kinds:
        return TEXTS
    whole = st.integers(0, 300)
    return st.one_of(whole, st.floats(0, 1), NUMBERS) if float in kinds else whole


# Most are of the right kind: one that is not hides what is wrong with the others.
SETTINGS = st.builds(
    lambda fine, wild: {**fine, **wild},
    st.fixed_dictionaries({}, optional={f.name: _of_its_kind(f.name) for f in FIELDS}),
    st.dictionaries(st.sampled_from([f.name for f in FIELDS]), ANYTHING, max_size=1),
)
FEW_SETTINGS = st.dictionaries(
    st.sampled_from([f.name for f in FIELDS if not choices_of(HINTS[f.name])]),
    ANYTHING,
    max_size=3,
)


@seeded
@given(st.one_of(SETTINGS, FEW_SETTINGS))
@example({"batch_size": "many"})  # were a TypeError of `>=`
@example({"temperature": 1j})
@example({"batch_size": None})  # were accepted
@example({"encoder": 5})
@example({"flip": "no"})
@example({"steps": 10.5})
@example({"dataset": "\ud800"})
@example({"image_size_schedule": "16@0,224@nan"})
@example({"image_size_schedule": "16\n@0"})  # was said on two lines
@example({"temperature": 2**63 - 1})  # came back as another number
@example({"steps": np.int64(3), "temperature": np.float32(0.5)})  # could not be written as JSON
@example({"temperature": fractions.Fraction(10**400)})
def test_settings_are_refused_by_name_or_come_back_from_their_file(tmp_path, settings):
    try:
        config = PretrainConfig(**{**GIVEN, **settings})
    except InputError as refused:
        message = str(refused)
        assert any(f"`{name}`" in message for name in settings), message
        assert len(message.splitlines()) == 1, message
        return
    file = tmp_path / "config.json"
    file.write_text(json.dumps(dataclasses.asdict(config)))
    again = PretrainConfig(**read_settings(str(file), PretrainConfig))
    assert again == config and json.dumps(dataclasses.asdict(again)) == file.read_text()


def test_both_ends_are_reached():
    """Neither all nor none of such settings are refused."""
    refused = []

    @seeded
    @given(SETTINGS)
    def look(settings):
        try:
            PretrainConfig(**{**GIVEN, **settings})
        except InputError:
            refused.append(True)
        else:
            refused.append(False)

    look()
    assert 0.05 < np.mean(refused) < 0.99
