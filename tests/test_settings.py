import dataclasses
import json
import math
import pathlib
from typing import Literal

import numpy as np
import pytest

import simclr_keras as sk
from simclr_keras.errors import InputError
from simclr_keras.settings import PART, POSITIVE, SEED, SHARE, Settings, choices_of, setting


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    rate: float | None = setting(None, "A rate.", POSITIVE)
    share: float = setting(0.5, "A share.", SHARE)
    part: float = setting(0.5, "A part.", PART)
    seed: int = setting(0, "A seed.", SEED)
    kind: Literal["a", "b"] | None = setting("a", "A kind.")
    name: str = setting("x", "Anything.")


def test_numbers_of_numpy_and_paths_become_those_of_json():
    taken = Example(rate=np.float32(0.5), share=1, seed=np.int64(3), name=pathlib.Path("a/b"))
    assert json.dumps(dataclasses.asdict(taken)) == json.dumps(
        {"rate": 0.5, "share": 1.0, "part": 0.5, "seed": 3, "kind": "a", "name": "a/b"}
    )


def test_values_in_their_range_are_taken():
    Example(rate=1e-9, share=1.0, part=0.0, seed=-(2**63), kind="b", name="anything")
    Example(rate=None, kind=None)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"rate": 0.0}, "`rate` must be positive. Received: rate=0.0"),
        ({"rate": math.nan}, "`rate` must be positive. Received: rate=nan"),
        ({"share": 0.0}, "`share` must be in (0, 1]. Received: share=0.0"),
        ({"part": 1.0}, "`part` must be in [0, 1). Received: part=1.0"),
        ({"seed": 2**63}, f"`seed` must be a 64-bit integer. Received: seed={2**63}"),
        ({"kind": "c"}, "`kind` must be one of a, b. Received: kind='c'"),
        ({"share": "1"}, "`share` must be a number. Received: share='1'"),
        ({"share": None}, "`share` must be a number. Received: share=None"),
        ({"seed": True}, "`seed` must be an integer. Received: seed=True"),
        ({"name": b"x"}, "`name` must be a text. Received: name=b'x'"),
        (
            {"name": "\ud800"},
            "`name` must be a text that UTF-8 can encode. Received: name='\\ud800'",
        ),
        ({"rate": 2**80}, f"`rate` must have at most 64 bits. Received: rate={2**80}"),
    ],
)
def test_others_are_refused(values, message):
    with pytest.raises(InputError) as refused:
        Example(**values)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda url: sk.PretrainConfig(dataset=url, run_dir="run"), "dataset"),
        (lambda url: sk.PretrainConfig(dataset="digits", run_dir=url), "run_dir"),
        (lambda url: sk.EvaluateConfig(url), "run"),
        (lambda url: sk.ExportConfig("run", output=url), "output"),
        (lambda url: sk.EmbedConfig("model", ["a.jpg", url], output="e.npz"), "images"),
    ],
)
def test_stores_that_tensorflow_does_not_know_are_refused(make, name):
    for url in ("gs://bucket/x", "ram://x"):
        make(url)
    for url in ("s4://bucket/x", "S4://x"):
        with pytest.raises(sk.InputError, match=f"`{name}` is in a store that .*gs://.*{url}"):
            make(url)


def test_what_tfds_and_kerashub_read_themselves_may_be_elsewhere():
    sk.PretrainConfig(
        dataset="C:/images",
        run_dir="a:b//c",
        data_dir="gs://b/tfds",
        encoder="keras_hub:hf://a/b",
    )


def test_choices_of_a_type():
    assert choices_of(Literal["a", "b"]) == choices_of(Literal["a", "b"] | None) == ("a", "b")
    assert choices_of(str) == choices_of(float | None) == ()
