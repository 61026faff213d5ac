import json

import numpy as np
import pytest
import tensorflow as tf
from processes import ROOT

import simclr_keras as sk
from simclr_keras.errors import InputError
from simclr_keras.networks.official_checkpoints import OfficialCheckpoint
from simclr_keras.runs.config import EvaluateConfig, ExportConfig, TrainedConfig
from simclr_keras.runs.evaluate import evaluate
from simclr_keras.runs.export import export
from simclr_keras.runs.trained_encoder import trained_encoder

ARCHIVE = ROOT.parent / "shared" / "fixtures" / "official_checkpoints" / "r18_1x_sk0.tar.gz"


@pytest.fixture
def official():
    if not ARCHIVE.exists():
        pytest.skip(f"the fixtures are not beside the checkout ({ARCHIVE})")
    return ARCHIVE


@pytest.mark.slow
def test_export_of_an_official_checkpoint_serves_its_features(official, tmp_path):
    path = export(ExportConfig(output=str(tmp_path / "model"), official=official)).path
    metadata = json.loads((path / "metadata.json").read_text())
    assert metadata["encoder"] == "simclr_resnet18" and metadata["image_size"] == 32
    assert metadata["official_checkpoint"] == "r18_1x_sk0.tar.gz"
    io = np.load(ARCHIVE.with_name("r18_1x_sk0_io.npz"))
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    embedding = served(images=tf.constant(io["images"]))["embedding"]
    np.testing.assert_allclose(embedding, io["final_avg_pool"], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_evaluation_of_an_official_checkpoint(official, image_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    results = evaluate(
        EvaluateConfig(dataset=str(image_folder), official=official, image_size=16)
    )
    assert results.train_images + results.test_images == 12
    assert 0 <= results.knn_accuracy <= 1 and 0 <= results.linear_accuracy <= 1
    assert sorted(tmp_path.rglob("*")) == before  # there is no run to write to
    with pytest.raises(InputError, match="a labelled dataset to evaluate on is needed"):
        evaluate(EvaluateConfig(official=official))


def test_either_a_run_or_an_official_checkpoint(tmp_path):
    for both in ((None, None), (tmp_path, tmp_path)):
        with pytest.raises(InputError, match=r"Name either .* Received: run=.*official="):
            TrainedConfig(*both)
    with pytest.raises(
        InputError, match="`image_size` applies only to `official` and .keras files"
    ):
        TrainedConfig(tmp_path, image_size=32)


def test_the_size_follows_the_stem(monkeypatch):
    for small, size in ((True, 32), (False, 224)):
        encoder = sk.build_encoder(
            "simclr_resnet18", 32, width_multiplier=0.125, small_image_stem=small
        )
        monkeypatch.setattr(
            "simclr_keras.runs.trained_encoder.load_official_checkpoint",
            lambda path, encoder=encoder: OfficialCheckpoint(encoder, None, None),
        )
        assert trained_encoder(TrainedConfig(None, "anything")).image_size == size
        assert trained_encoder(TrainedConfig(None, "anything", 64)).image_size == 64
