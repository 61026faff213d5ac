"""Every command on a folder of shards."""

import shutil

import numpy as np
import pytest
from conftest import SMALL_NETWORK
from prepared import jpeg
from shards import samples, write_parquet, write_tar

from simclr_keras import EmbedConfig, PretrainConfig, embed, export_encoder, pretrain
from simclr_keras.errors import InputError
from simclr_keras.runs.classifier_config import FineTuneConfig
from simclr_keras.runs.config import EvaluateConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.evaluate import evaluate
from simclr_keras.runs.fine_tune import fine_tune_run

pytestmark = pytest.mark.usefixtures("short_resnet")
COUNT = 40


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folders(tmp_path):
    """The same images as tar files and as Parquet files, compressed and not."""
    for shard in range(2):
        numbers = range(20 * shard, 20 * shard + 20)
        images, labels = [jpeg(k) for k in numbers], [k % 2 for k in numbers]
        write_tar(tmp_path / "tar" / f"{shard}.tar", samples(images, labels, numbers[0]))
        for compression in ("none", "snappy"):
            file = tmp_path / compression / f"{shard}.parquet"
            write_parquet(file, images, labels, ["0", "1"], compression=compression)
    return {name: str(tmp_path / name) for name in ("tar", "none", "snappy")}


def _config(folder, run, **changes):
    settings = dict(image_size=8, batch_size=8, steps=4, checkpoint_every=2, **SMALL_NETWORK)
    return PretrainConfig(dataset=folder, run_dir=str(run), **{**settings, **changes})


@pytest.mark.slow
def test_the_same_images_give_the_same_run(folders, tmp_path, interrupted_after):
    weights = []
    for name, folder in folders.items():
        config = _config(folder, tmp_path / "runs" / name)
        if name == "snappy":
            with interrupted_after(1):
                pretrain(config)
        pretrain(config)
        weights.append(RunDirectory(config.run_dir).load_encoder().get_weights())
    for others in weights[1:]:
        for a, b in zip(weights[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tar", "snappy"])
def test_the_commands_on_a_run(folders, tmp_path, untrained_run, name):
    settings = dict(image_size=8, batch_size=8, steps=4)
    run = untrained_run(tmp_path / "run", folders[name], with_lists=True, **settings)
    found = evaluate(EvaluateConfig(str(run)))
    assert (found.train_images, found.test_images) == (32, 8) and found.test_images_seen == 0
    tuned = fine_tune_run(
        FineTuneConfig(run=str(run), steps=1, batch_size=4, label_fraction=0.25)
    )
    assert tuned.labels == 8
    moved = tmp_path / "moved"
    shutil.move(folders[name], moved)
    with pytest.raises(InputError, match="are no longer in"):
        evaluate(EvaluateConfig(str(run)))
    again = evaluate(EvaluateConfig(str(run), dataset=str(moved)))
    assert (again.knn_accuracy, again.test_images_seen) == (found.knn_accuracy, 0)
    export_encoder(RunDirectory(run).load_encoder(), tmp_path / "model", image_size=8)
    embedded = embed(
        EmbedConfig(
            model=str(tmp_path / "model"), images=str(moved), output=str(tmp_path / "e.npz")
        )
    )
    assert embedded.count == COUNT and embedded.paths[-1] == f"{moved}/train/39"


@pytest.mark.slow
def test_other_shards_are_other_images(folders, tmp_path):
    config = _config(folders["tar"], tmp_path / "run", steps=2)
    pretrain(config)
    write_tar(tmp_path / "tar" / "2.tar", samples([jpeg(50)], [0]))
    with pytest.raises(InputError, match=r"was begun with: 1 added \(2.tar\)"):
        pretrain(_config(folders["tar"], tmp_path / "run", steps=4))
