"""The Python blocks of docs/*.md, run in the order of their page."""

import functools
import logging
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from presets_page import PAGE, page
from processes import ROOT

import simclr_keras as sk
from simclr_keras.keras_versions import KERAS_3
from simclr_keras.runs.presets import AUGMENTATIONS, PRESETS


@pytest.fixture
def run_blocks(tmp_path, monkeypatch):
    """Runs the blocks of a page with the names given; returns all names at the end."""
    monkeypatch.chdir(tmp_path)

    def run(page, **names):
        text = (ROOT / "docs" / page).read_text()
        names = {"keras": keras, "sk": sk, **names}
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            if "load_official_checkpoint" not in block:  # needs a download
                exec(block, names)
        return names

    return run


@pytest.fixture
def data(rng):
    """40 images of 16 x 16 pixels in 2 classes."""
    return rng.integers(0, 256, (40, 16, 16, 3), "uint8"), np.arange(40) % 2


@pytest.fixture
def head(tiny_encoder):
    head = sk.ProjectionHead(output_dim=4)
    head.build(tiny_encoder.output_shape)
    return head


@pytest.mark.slow
@pytest.mark.usefixtures("single_blocks")
def test_encoders(run_blocks, caplog, recwarn):
    head = sk.ProjectionHead(output_dim=16)
    head.build((None, 2048))
    names = run_blocks("encoders.md", head=head, classes=3)
    assert names["middle"].output_shape[-1] == 1024
    # The classifier has the head's first layer and no variable without a gradient.
    classifier = names["classifier"]
    classifier.compile("sgd", "mse")
    with caplog.at_level(logging.WARNING):
        classifier.fit(np.zeros((2, 224, 224, 3)), np.zeros((2, 3)), verbose=0)
    said = caplog.text + "".join(str(warning.message) for warning in recwarn)
    assert "radients do not exist" not in said
    dense = [x for x in classifier.layers if isinstance(x, keras.layers.Dense)]
    assert [layer.units for layer in dense[-2:]] == [2048, 3]


@pytest.mark.slow
def test_evaluation(run_blocks, data, rng):
    any_size = keras.Input((None, None, 3))
    encoder = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(any_size))
    images, labels = (np.tile(part, (6, *[1] * (part.ndim - 1))) for part in data)
    run_blocks(
        "evaluation.md",
        encoder=keras.Model(any_size, encoder),
        train=tf.data.Dataset.from_tensor_slices((images / np.float32(255), labels)).batch(60),
        images=images,
        test_features=rng.random((10, 8), "float32"),
        test_labels=np.arange(10) % 2,
    )


@pytest.mark.slow
def test_few_labels(run_blocks, data, tiny_encoder, head, tmp_path, monkeypatch):
    images, labels = data
    for function in ("fine_tune", "distill"):  # 2 steps instead of 400
        monkeypatch.setattr(sk, function, functools.partial(getattr(sk, function), steps=2))
    names = {"encoder": tiny_encoder, "projection_head": head, "class_names": ("a", "b")}
    run_blocks("few-labels.md", images=images, labels=labels, **names)
    assert (tmp_path / "saved_models" / "mine" / "1" / "saved_model.pb").exists()


def test_embeddings(run_blocks):
    names = run_blocks("embeddings.md")
    assert names["page"].name == "mine_map.html" and len(set(names["chosen"])) == 10


def test_monitoring(run_blocks):
    # 2 x 0.1 in each of 16 dimensions, between unit vectors: far nearer than different images.
    names = run_blocks("monitoring.md")
    assert sk.alignment(names["views_1"], names["views_2"]) < 0.1


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_3, reason="keras.layers.Pipeline is new in Keras 3")
def test_views(run_blocks, tiny_encoder, data):
    model = run_blocks("views.md", encoder=tiny_encoder)["model"]
    model.compile("sgd", run_eagerly=True)
    assert model.train_on_batch(data[0][:4], return_dict=True)["loss"] > 0


def test_presets(run_blocks):
    config = run_blocks("presets.md")["config"]
    assert config.sources["quarter_turns"] == "augment aerial" and config.seed == 1
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    pathlib.Path("scans.yaml").write_text(block)
    config = sk.PretrainConfig.from_sources(config="scans.yaml")
    assert config.learning_rate == 0.004 and not config.flip and config.image_size == 64
    assert set(yaml.safe_load(block)) <= {*config.sources, "preset", "augment"}


def test_the_tables_of_presets_are_those_of_the_data():
    text = PAGE.read_text()
    assert page(text) == text, "python tests/presets_page.py writes them"
    for name in (*PRESETS, *AUGMENTATIONS):
        assert f"### `{name}`" in text
