"""`evaluate --compare`: other encoders on the same images and labels, and the verdict."""

import dataclasses
import json
import logging
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks.test_official_checkpoints import Checkpoint

import simclr_keras as sk
from simclr_keras.cli.evaluate import evaluate as command
from simclr_keras.cli.evaluate import print_accuracies
from simclr_keras.cli.verdict import print_verdict
from simclr_keras.errors import InputError
from simclr_keras.evaluation.paired import difference_of_hits
from simclr_keras.runs import comparisons
from simclr_keras.runs.compare import _seen, _title
from simclr_keras.runs.comparisons import load_comparisons
from simclr_keras.runs.config import TrainedConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.trained_encoder import trained_encoder

pytestmark = pytest.mark.usefixtures("short_resnet")
CLASSES, TRAINED, TESTED = ("blue", "green", "red"), 12, 8
COPIES = {"blue/7.png": 0, "red/0.png": 1}  # test image -> image of its class that it copies


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """train/ and test/ of smooth coloured pictures; two test images are in the training part."""
    root, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(1)
    for channel, name in enumerate(CLASSES):
        small = random.random((TRAINED + TESTED, 5, 5, 3)).astype("float32")
        small[..., 2 - channel] += 0.15
        large = tf.clip_by_value(tf.image.resize(small, (32, 32), method="bicubic"), 0, 1)
        pictures = tf.cast(255 * large, tf.uint8).numpy()
        for place, picture in enumerate(pictures):
            part, number = ("train", place) if place < TRAINED else ("test", place - TRAINED)
            copied = COPIES.get(f"{name}/{number}.png") if part == "test" else None
            if copied is not None:  # the second one is darker
                picture = (pictures[copied] * (1 - 0.2 * copied)).astype("uint8")
            (root / part / name).mkdir(parents=True, exist_ok=True)
            file = root / part / name / f"{number}.png"
            file.write_bytes(tf.io.encode_png(picture).numpy())
    return root


@pytest.fixture(scope="module")
def run(folder, untrained_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("compared") / "run"
    return untrained_run(path, folder, with_lists=True, image_size=16)


@pytest.fixture(scope="module")
def result(run):
    return sk.evaluate(sk.EvaluateConfig(str(run), compare="random, pixels"))


def test_near_duplicates_are_left_out_and_counted(result, folder):
    verdict = result.verdict
    assert (verdict.near_duplicates, verdict.equal_images) == (2, 1)
    test, train = (sk.load_source(str(folder), part) for part in ("test", "train"))
    pairs = {test.paths[i]: train.paths[j] for i, j in verdict.near_duplicate_places}
    assert pairs == {"blue/7.png": "blue/0.png", "red/0.png": "red/1.png"}
    assert result.test_images == 24 and verdict.evidence.images == 22
    # What every evaluation measures is still measured on all test images.
    assert result.knn["per_class"]["blue"]["images"] == TESTED


def test_gains_are_paired_on_the_images_that_are_left(result, run, folder):
    hits = []
    for name in ("SimCLR", "pixels"):
        parts = [sk.load_source(str(folder), part) for part in ("train", "test")]
        batches = [sk.evaluation_dataset(part, 16, 64) for part in parts]
        if name == "pixels":
            features = [np.concatenate([x for x, _ in b]).reshape(-1, 768) for b in batches]
        else:
            features = [sk.extract_features(sk.load_encoder(run), b)[0] for b in batches]
        probe = sk.LinearProbe().fit(features[0], parts[0].labels)
        hits.append(probe.predict(features[1]) == parts[1].labels)
    pixels = result.comparisons[1]
    assert pixels.name == "pixels" and pixels.image_size == 16
    assert pixels.measured.linear_accuracy == pytest.approx(hits[1].mean())
    kept = np.setdiff1d(np.arange(24), [7, 16])  # by class, in the order of their names
    assert pixels.accuracies["linear"] == pytest.approx(hits[1][kept].mean())
    assert pixels.gains["linear"] == difference_of_hits(hits[0][kept], hits[1][kept])


def test_draws_of_labels_are_the_same_for_all(result):
    own = result.verdict.label_curve
    for other in result.comparisons:
        rows = other.label_curve
        assert [row["labels_per_class"] for row in rows] == [1, 2, 5, 10, 12]
        for row, theirs in zip(own[:-1], rows[:-1]):
            differences = np.subtract(row["accuracies"], theirs["accuracies"])
            assert theirs["gain"].mean == pytest.approx(differences.mean())
        assert "gain" not in rows[-1]  # of all labels there is one draw


def test_the_results_are_written_and_random_weights_keep_their_place(result, run):
    written = json.loads(RunDirectory(run).evaluation_file.read_text())
    printed = {k: value for k, value in result.to_dict().items() if k != "page"}
    assert written == printed == json.loads(json.dumps(written))
    assert written["random_encoder"] == written["comparisons"][0]["measured"]
    assert written["comparisons"][0]["gains"]["knn"].keys() == {"mean", "low", "high"}
    assert written["verdict"]["sentence"].endswith(".")


def test_without_compare_nothing_changes(run, result):
    plain = sk.evaluate(sk.EvaluateConfig(str(run))).to_dict()
    kept = {"random_encoder", "comparisons", "verdict"}
    assert plain == {k: value for k, value in result.to_dict().items() if k not in kept}


@pytest.mark.slow
def test_any_model_can_be_compared_with(run, folder, untrained_run, tmp_path, caplog):
    """Of another run it is said that it saw test images."""
    trained = trained_encoder(TrainedConfig(str(run)))
    exported = sk.export_encoder(trained.encoder, tmp_path / "model", image_size=16)
    other = untrained_run(
        tmp_path / "other", folder / "test", with_lists=True, hold_out=0.0, image_size=16
    )
    official = Checkpoint(18).write(tmp_path / "official")
    paths = [f"{run}/encoder.keras", str(exported.parent), str(run), f"run:{other}"]
    names = [*paths, f"official:{official}", str(official)]
    others, missing = load_comparisons(names, trained, trained.config, channels=3)
    assert list(others) == names and not missing
    assert [each.image_size for each in others.values()] == [16] * 4 + [32] * 2
    images = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    for path in paths[:3]:
        features = others[path].encoder(images)
        np.testing.assert_allclose(features, trained.encoder(images), rtol=1e-5)
    test = sk.load_run_source(run, "test")
    seen = [_seen(each, test, str(folder), name) for name, each in others.items()]
    assert seen == [None, None, 0, 24, None, None]
    assert caplog.messages == [f"run:{other} was pretrained on 24 of the 24 test images."]


def test_weights_that_cannot_be_downloaded_are_left_out(run, monkeypatch, caplog, capsys):
    def fail(name, image_size, channels, weights, log_changes):
        raise Exception(f"URL fetch failure on https://host/{name}: None --\nno network")

    monkeypatch.setattr(comparisons, "build_encoder", fail)
    with caplog.at_level(logging.WARNING):
        command(None, run=str(run), compare=["imagenet"], json=True)
    reason = (
        "the ImageNet weights of resnet50 are not to be had here (URL fetch failure on "
        "https://host/resnet50: None -- no network)"
    )
    assert caplog.messages.count(f"Not compared with imagenet: {reason}") == 1
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert f"  not compared with imagenet: {reason}" in lines
    assert "nothing to compare with" in lines[-2] and result["comparisons"] == []
    assert result["verdict"]["not_compared"] == {"imagenet": reason}


@pytest.mark.slow
def test_a_test_part_of_training_images_leaves_nothing_to_compare_on(run, folder, tmp_path):
    shutil.copytree(folder / "train", tmp_path / "copy")
    config = sk.EvaluateConfig(str(run), eval_dataset=str(tmp_path / "copy"), compare="pixels")
    verdict = sk.evaluate(config).verdict
    assert verdict.near_duplicates == verdict.equal_images == 36 and verdict.evidence is None
    assert "no test image without a near-duplicate" in verdict.sentence


@pytest.mark.slow
def test_an_export_of_unknown_architecture_has_no_random_weights(run, tmp_path):
    trained = trained_encoder(TrainedConfig(str(run)))
    path = sk.export_encoder(trained.encoder, tmp_path / "model", image_size=16)
    images = keras.Input((16, 16, 3))
    only_exported = dataclasses.replace(
        trained, encoder=keras.Model(images, sk.ExportedEncoder(path)(images))
    )
    found, missing = load_comparisons(["random"], only_exported, trained.config, channels=3)
    assert not found and "architecture of this export is not known" in missing["random"]


def test_imagenet_takes_the_network_of_the_run(monkeypatch):
    built = []
    monkeypatch.setattr(comparisons, "build_encoder", lambda *a, **k: built.append(a))
    for encoder, size in (("MobileNetV2", 96), ("simclr_resnet18", 16)):
        config = sk.PretrainConfig(dataset="digits", run_dir="none", encoder=encoder)
        comparisons._imagenet(config, size, 3)
    assert built == [("MobileNetV2", 96, 3, "imagenet"), ("resnet50", 32, 3, "imagenet")]


@pytest.mark.parametrize("name", ["randm", "nowhere/at/all"])
def test_a_misspelt_name_is_found_before_the_work(run, name, monkeypatch):
    monkeypatch.setattr("simclr_keras.runs.evaluate.measure_encoder", None)  # never called
    with pytest.raises(InputError, match=f"takes random, pixels, .* Received: compare={name}"):
        sk.evaluate(sk.EvaluateConfig(str(run), compare=f"random,{name}"))


def test_an_encoder_of_other_channels_is_refused(run, tmp_path):
    encoder = sk.build_encoder("simclr_resnet18", 16, channels=1, width_multiplier=0.125)
    encoder.save(tmp_path / "grey.keras")
    with pytest.raises(InputError, match="takes images of 1 channels, but these have 3"):
        sk.evaluate(sk.EvaluateConfig(str(run), compare=str(tmp_path / "grey.keras")))


def test_what_is_printed(result, capsys):
    print_accuracies(result)
    print_verdict(result)
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == result.verdict.sentence
    assert (
        "Compared on 22 of 24 test images: 2 look like a training image, 1 of them with the same "
        "pixels, and are left out (equal pixels, or a correlation of at least 0.98" in text
    )
    gain = result.comparisons[1].gains["knn"]
    low, high = 100 * gain.low, 100 * gain.high
    assert f"{100 * gain.mean:+.1f} ({low:+.1f} to {high:+.1f})" in text
    assert "by the kNN in monitor.csv over the last half of the run, not known" in text


def test_titles_are_the_ends_of_paths():
    names = ("random", "pixels", "runs/other", "run:/a/b", "official:/a/r50.tar.gz")
    titles = ["random weights", "pixels", "other", "run:b", "official:r50.tar.gz"]
    assert [_title(name) for name in names] == titles


def test_names_are_split_at_commas_and_counted_once():
    config = sk.EvaluateConfig("run", compare=["pixels, random", "pixels"], compare_random=True)
    assert config.comparisons == ["random", "pixels"]
    assert sk.EvaluateConfig("run").comparisons == []
    with pytest.raises(InputError, match="`compare` must be a text that is not empty"):
        sk.EvaluateConfig("run", compare="random,")
    with pytest.raises(
        InputError, match="`compare` is in a store that TensorFlow does not know"
    ):
        sk.EvaluateConfig("run", compare="official:nowhere://bucket/r50")
