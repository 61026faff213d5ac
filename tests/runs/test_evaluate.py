import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import simclr_keras as sk
from simclr_keras.cli.evaluate import evaluate as command
from simclr_keras.data.datasets import load_source
from simclr_keras.errors import InputError, RunFailure
from simclr_keras.runs.config import EvaluateConfig
from simclr_keras.runs.directory import RunDirectory


def evaluate(config):
    """The result as it is written; what is printed also names the page."""
    return {k: v for k, v in sk.evaluate(config).to_dict().items() if k != "page"}


@pytest.fixture
def run(tmp_path, tiny_encoder, colours):
    """A finished run whose encoder was never trained: evaluation does not mind."""
    directory = RunDirectory(tmp_path / "run")
    directory.begin(
        sk.PretrainConfig(dataset=str(colours), run_dir=str(directory.path), image_size=16)
    )
    directory.save_networks(tiny_encoder, sk.ProjectionHead(4))
    return directory


@pytest.fixture
def colours(tmp_path):
    """train/ with 6 images of each of three colours, test/ with 1, 2 and 4."""
    draw = np.random.default_rng(1)
    for split, counts in (("train", (6, 6, 6)), ("test", (1, 2, 4))):
        for channel, (name, count) in enumerate(zip(("blue", "green", "red"), counts)):
            folder = tmp_path / "colours" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 100, (20, 18 + index, 3))
                pixels[..., 2 - channel] += 150
                image = tf.io.encode_png(pixels.astype("uint8")).numpy()
                (folder / f"{index}.png").write_bytes(image)
    return tmp_path / "colours"


def test_what_is_measured_and_where_it_is_written(run):
    before = run.encoder_file.read_bytes()
    results = evaluate(
        EvaluateConfig(
            run.path, protocol="both", epochs=3, learning_curve=True, compare_random=True
        )
    )
    assert json.loads(run.evaluation_file.read_text()) == results
    assert (results["train_images"], results["test_images"], results["classes"]) == (18, 7, 3)
    assert results["knn_accuracy"] == results["knn"]["top_1"]
    assert results["linear_accuracy"] == results["linear"]["lbfgs"]["top_1"]
    assert results["linear_sgd_accuracy"] == results["linear"]["sgd"]["top_1"]
    assert list(results["knn"]["by_neighbours"]) == ["1", "5", "10", "18"]
    assert results["knn"]["by_neighbours"]["18"]["top_1"] == results["knn_accuracy"]
    for found in (results["knn"], *results["linear"].values()):
        images = {name: of["images"] for name, of in found["per_class"].items()}
        assert images == {"blue": 1, "green": 2, "red": 4}  # each test image once
        low, high = found["top_1_interval"]
        assert 0 <= low <= found["top_1"] <= high <= 1 and "top_5" not in found
    assert [r["labels_per_class"] for r in results["learning_curve"]] == [1, 2, 5, 6]
    assert {"knn", "linear", "learning_curve"} <= set(results["random_encoder"])
    picture = tf.io.decode_png((run.report / "learning_curve.png").read_bytes())
    assert picture.shape[0] > 100
    assert run.encoder_file.read_bytes() == before
    again = evaluate(EvaluateConfig(run.path))
    assert "linear_sgd_accuracy" not in again and "learning_curve" not in again
    assert again["linear"]["lbfgs"] == results["linear"]["lbfgs"]
    entries = json.loads(run.results_file.read_text())
    assert [entry["measured"] for entry in entries] == ["evaluate", "evaluate"]
    assert [entry["result"] for entry in entries] == [results, again]


def test_the_accuracy_is_that_of_the_features(run, colours):
    results = evaluate(EvaluateConfig(run.path))
    features = {}
    for split in ("train", "test"):
        source = load_source(str(colours), split)
        images = [tf.image.decode_png((colours / split / p).read_bytes()) for p in source.paths]
        sides = [min(image.shape[:2]) for image in images]
        squares = [tf.image.resize_with_crop_or_pad(x, s, s) for x, s in zip(images, sides)]
        small = [
            tf.image.resize(square, (16, 16), antialias=True) / 255.0 for square in squares
        ]
        features[split] = sk.extract_features(run.load_encoder(), np.stack(small))[0]
    labels = np.repeat([0, 1, 2], 6), np.array([0, 1, 1, 2, 2, 2, 2])
    expected = sk.knn_accuracy(features["train"], labels[0], features["test"], labels[1], k=18)
    assert results["knn_accuracy"] == pytest.approx(expected)


@pytest.mark.slow
def test_the_batch_size_does_not_matter(run):
    first, *others = (
        evaluate(EvaluateConfig(run.path, batch_size=size)) for size in (1, 3, 256)
    )
    assert others == [first, first]


def test_a_class_without_test_images_is_named(run, colours):
    shutil.rmtree(colours / "test" / "green")
    results = evaluate(EvaluateConfig(run.path))
    assert results["classes"] == 3 and results["classes_without_test_images"] == ["green"]
    assert list(results["knn"]["per_class"]) == ["blue", "red"]


def test_classes_are_matched_by_name(run, colours):
    """Another folder, without the first class: red is its class 1 and the training part's 2."""
    other = colours.parent / "other"
    shutil.copytree(colours / "test", other / "test")
    shutil.rmtree(other / "test" / "blue")
    whole = evaluate(EvaluateConfig(run.path))
    results = evaluate(EvaluateConfig(run.path, eval_dataset=str(other)))
    assert results["test_images"] == 6
    for found in ("knn", "linear"):
        of = [r[found] if found == "knn" else r[found]["lbfgs"] for r in (whole, results)]
        expected = {name: of[0]["per_class"][name] for name in ("green", "red")}
        assert of[1]["per_class"] == expected


@pytest.mark.slow
def test_of_other_data_everything_is_measured_and_nothing_is_held_out(run, colours):
    for name in ("flat", "other"):  # 18 images without splits
        shutil.copytree(colours / "train", colours.parent / name)
    flat, other = str(colours.parent / "flat"), str(colours.parent / "other")
    (colours.parent / "link").symlink_to(flat)

    def images(dataset, eval_dataset=None):
        data = {"dataset": dataset, "eval_dataset": eval_dataset}
        results = evaluate(EvaluateConfig(run.path, **data))
        return results["train_images"], results["test_images"]

    assert images(flat) == (14, 4)
    assert images(flat, other) == (18, 18)
    assert images(None, other) == (18, 18)  # of the run's folder its train/
    assert images(flat, str(colours)) == (18, 7)  # of the other its test/
    assert images(flat, str(colours.parent / "link")) == (14, 4)  # the same data


def test_classes_that_only_the_test_part_has_are_named(run, colours):
    shutil.rmtree(colours / "train" / "green")
    with pytest.raises(InputError, match="without training images in .*: green. Add training"):
        evaluate(EvaluateConfig(run.path))
    assert not run.evaluation_file.exists() and not run.results_file.exists()


def test_an_unknown_protocol_is_an_input_error(run):
    with pytest.raises(
        InputError, match="`protocol` must be one of lbfgs, sgd, both. Received"
    ):
        evaluate(EvaluateConfig(run.path, protocol="adam"))


def test_epochs_without_the_sgd_protocol_are_refused_not_ignored(run):
    with pytest.raises(
        InputError, match="applies only to the SGD protocol.*Received: epochs=5"
    ):
        evaluate(EvaluateConfig(run.path, epochs=5))


def test_a_foreign_results_file_is_found_before_the_work(run, monkeypatch):
    run.results_file.write_text("{}")
    monkeypatch.setattr("simclr_keras.runs.evaluate.measure_encoder", None)  # never called
    with pytest.raises(RunFailure, match="left as it is"):
        evaluate(EvaluateConfig(run.path))
    assert run.results_file.read_text() == "{}"


def test_what_is_printed(run, capsys):
    command(None, run=str(run.path), protocol="both", epochs=1, learning_curve=True, json=True)
    lines = capsys.readouterr().out.splitlines()
    results = json.loads(lines[-1])
    text = "\n".join(lines[:-1])
    assert "18 training and 7 test images" in text and "3 classes" in text
    low, high = results["knn"]["top_1_interval"]
    assert (
        f"{100 * results['knn_accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})" in text
    )
    (red,) = [line.split() for line in lines if line.split()[:1] == ["red"]]
    names = [results["knn"], results["linear"]["lbfgs"], results["linear"]["sgd"]]
    cells = [f"{100 * found['per_class']['red']['accuracy']:.1f}" for found in names]
    assert red == ["red", "4", *cells]
    row = results["learning_curve"][2]
    curve = f"{100 * row['mean']:.1f} +- {100 * row['deviation']:.1f}"
    assert any(line.split()[:1] == ["5"] and curve in line for line in lines)


@pytest.mark.slow
def test_what_python_gets(run):
    result = sk.evaluate(EvaluateConfig(run.path, compare_random=True, learning_curve=True))
    assert result.test_images == 7 and result.linear_sgd_accuracy is None
    assert result.knn_accuracy == result.knn["top_1"]
    assert (
        result.random_encoder.linear_accuracy == result.random_encoder.linear["lbfgs"]["top_1"]
    )
    assert result.learning_curve_picture == run.report / "learning_curve.png"
    keys = list(json.loads(run.evaluation_file.read_text()))
    assert [*keys, "page"] == list(result.to_dict()) and "linear_sgd_accuracy" not in keys
