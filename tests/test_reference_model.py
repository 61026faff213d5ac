"""The encoder in `saved_models/`, as a clone has it."""

import json
import os

import numpy as np
import pytest
from processes import ROOT

import simclr_keras as sk

MODEL = ROOT / "saved_models" / "cifar10-airbench"
DATA = ROOT.parent / "shared" / "tfds"


def test_its_card_and_its_size():
    metadata = json.loads((MODEL / "1" / "metadata.json").read_text())
    assert (metadata["encoder"], metadata["image_size"], metadata["licence"]) == (
        "airbench",
        32,
        "Apache-2.0",
    )
    assert str(ROOT.parent) not in json.dumps(metadata)  # nothing of the machine that made it
    size = sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file())
    assert size < 15e6
    card = (MODEL / "README.md").read_text()
    assert f"{metadata['embedding_dimension']:,} features" in card


@pytest.mark.slow
def test_it_tells_images_of_cifar10_apart():
    """Far above random weights (about 30 %) on a few hundred images."""
    data_dir = os.environ.get("TFDS_DATA_DIR", str(DATA))
    if not os.path.isdir(os.path.join(data_dir, "cifar10")):
        pytest.skip(f"CIFAR-10 is not in {data_dir}")
    parts = []
    encoder = sk.load_exported(MODEL)
    for split, count in (("train", 2_000), ("test", 400)):
        source = sk.load_source("cifar10", split, data_dir=data_dir).subset(np.arange(count))
        images = source.images.astype("float32") / 255
        parts += [np.asarray(encoder(images)), source.labels]
    assert sk.knn_accuracy(*parts, k=20, temperature=0.1) > 0.55


def test_it_is_where_networks_begin():
    settings = sk.PretrainConfig.from_sources(
        dataset="digits", run_dir="there", weights=str(MODEL)
    )
    assert (settings.encoder, settings.width_multiplier, settings.image_size) == (
        "airbench",
        0.5,
        32,
    )
