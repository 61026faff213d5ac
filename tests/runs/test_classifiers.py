import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import simclr_keras as sk
from simclr_keras import PretrainConfig
from simclr_keras.data.datasets import load_source
from simclr_keras.data.sources import ArraySource
from simclr_keras.errors import InputError
from simclr_keras.runs import fine_tune as fine_tune_module
from simclr_keras.runs.classifier_config import DistillConfig, FineTuneConfig
from simclr_keras.runs.classifiers import SavedClassifier, find_classifier
from simclr_keras.runs.config import ExportConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.distill import distill_run
from simclr_keras.runs.export import export
from simclr_keras.runs.fine_tune import fine_tune_run
from simclr_keras.runs.labelled_data import training_part

pytestmark = pytest.mark.usefixtures("short_resnet")


@pytest.fixture(scope="module")
def run(tmp_path_factory, untrained_run):
    """A finished run on digits, shared: each test uses names of its own."""
    return untrained_run(tmp_path_factory.mktemp("digits") / "run")


def _config(run, **settings):
    return FineTuneConfig(**{"run": str(run), "steps": 2, "batch_size": 8, **settings})


@pytest.fixture(scope="module")
def tuned(run):
    """What fine-tuning on 5 % of the labels returned; it is the teacher too."""
    return fine_tune_run(_config(run, label_fraction=0.05))


def _entries(run, name):
    entries = json.loads((run / "results.json").read_text())
    return [e for e in entries if e["result"]["classifier"] == name]


def test_a_fine_tuned_classifier_and_its_files(run, tuned):
    result = tuned
    folder = run / "fine-tuned" / "5pct-seed0"
    assert {p.name for p in folder.iterdir()} == {
        "classes.json",
        "classifier.keras",
        "history.csv",
        "labels.csv",
        "result.json",
        "settings.json",
    }
    # The saved classifier is the one that was measured, on each of the 360 test images once.
    saved = SavedClassifier(folder)
    test = load_source("digits", "test")
    logits = np.array(saved.load()(test.images / np.float32(255), training=False))
    hits = int((logits.argmax(axis=1) == test.labels).sum())
    assert result.test_images == 360 and result.test_accuracy == pytest.approx(hits / 360)
    assert saved.read_class_names() == tuple("0123456789")
    rows = list(csv.DictReader((folder / "labels.csv").open()))
    train = load_source("digits", "train")
    assert all(str(train.labels[int(row["index"])]) == row["label"] for row in rows)
    assert result.labels == len(rows) == 70  # 5 % of 139 to 146 images in each of ten classes
    (entry,) = _entries(run, "fine-tuned/5pct-seed0")
    assert entry["measured"] == "fine-tune"
    assert {**entry["result"], "page": str(run / "report" / "index.html")} == result.to_dict()


def test_only_the_chosen_labels_are_given_to_training(run, monkeypatch):
    given = {}

    def stop(encoder, source, **settings):
        given.update(source=source, **settings)
        raise InterruptedError

    monkeypatch.setattr(fine_tune_module, "fine_tune", stop)
    with pytest.raises(InterruptedError):
        fine_tune_run(_config(run, labels_per_class=3, seed=7, name="stopped"))
    assert np.bincount(given["source"].labels).tolist() == [3] * 10
    assert given["crop_area_min"] == 0.08 and given["flip"] is True  # as in pretraining
    assert not (run / "fine-tuned" / "stopped").exists()  # and nothing half-written


def test_repeating_a_command_changes_nothing_and_other_settings_are_refused(run, tuned):
    config = _config(run, label_fraction=0.05)
    files = run / "fine-tuned" / "5pct-seed0"
    before = {p: p.stat().st_mtime_ns for p in files.iterdir()}
    assert fine_tune_run(dataclasses.replace(config, data_dir="/elsewhere")) == tuned
    assert {p: p.stat().st_mtime_ns for p in files.iterdir()} == before
    assert len(_entries(run, "fine-tuned/5pct-seed0")) == 1
    with pytest.raises(InputError, match=r"other settings: steps=2 \(now 3\). Choose another"):
        fine_tune_run(dataclasses.replace(config, steps=3))


def test_one_that_was_killed_before_it_recorded_its_result_records_it_when_repeated(run, tuned):
    recorded = run / "results.json"
    entries = json.loads(recorded.read_text())
    mine = [e for e in entries if e["result"].get("classifier") == "fine-tuned/5pct-seed0"]
    recorded.write_text(json.dumps([e for e in entries if e not in mine]))
    left = run / "checkpoints" / "fine-tuned" / "5pct-seed0" / "ckpt-2.index"
    left.parent.mkdir(parents=True)
    left.touch()
    for _ in range(2):
        assert fine_tune_run(_config(run, label_fraction=0.05)) == tuned
    (entry,) = _entries(run, "fine-tuned/5pct-seed0")
    assert entry["result"] == mine[0]["result"] and not left.parent.exists()


def test_settings_that_an_earlier_version_did_not_have_are_their_defaults(run, tuned):
    file = run / "fine-tuned" / "5pct-seed0" / "settings.json"
    text = file.read_text()
    settings = json.loads(text)
    del settings["mixed_precision"], settings["strategy"]
    try:
        file.write_text(json.dumps(settings))
        assert fine_tune_run(_config(run, label_fraction=0.05, strategy="mirrored")) == tuned
        with pytest.raises(InputError, match=r"mixed_precision=none \(now bfloat16\)"):
            fine_tune_run(_config(run, label_fraction=0.05, mixed_precision="bfloat16"))
    finally:
        file.write_text(text)


@pytest.mark.slow
def test_interrupted_commands_end_as_uninterrupted_ones(run, tuned, interrupted_after):
    common = dict(run=str(run), steps=3, batch_size=8)
    for command, config in (
        (fine_tune_run, FineTuneConfig(**common, labels_per_class=2, name="whole")),
        (distill_run, DistillConfig(**common, teacher="5pct-seed0", name="whole")),
    ):
        whole, again = command(config), dataclasses.replace(config, name="again")
        folder = run / whole.classifier.replace("whole", "again")
        checkpoints = run / "checkpoints" / folder.parent.name / "again"
        with interrupted_after(2):
            command(again)
        assert checkpoints.exists() and not folder.exists()
        with pytest.raises(InputError, match=r"another training: seed=0 \(now 1\)"):
            command(dataclasses.replace(again, seed=1))
        continued = command(again)
        assert not checkpoints.exists()
        assert continued == dataclasses.replace(whole, classifier=continued.classifier)
        weights = [
            SavedClassifier(x).load().get_weights() for x in (folder, folder.with_name("whole"))
        ]
        for a, b in zip(*weights):
            np.testing.assert_array_equal(a, b)
    again = list(csv.DictReader((folder / "history.csv").open()))
    assert [row["step"] for row in again] == ["1", "2", "3"]


REPLICAS = """
import json, sys
import tensorflow as tf
import simclr_keras as sk

# Graph optimization takes a third of the time and does not affect the comparison.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
for name in ("one", "mirrored"):
    common = dict(run=sys.argv[1], steps=2, batch_size=8, name=name, strategy=name, learning_rate=1e-3)
    sk.fine_tune_run(sk.FineTuneConfig(**common, labels_per_class=1))
    sk.distill_run(sk.DistillConfig(**common, teacher="one", student="teacher", label_weight=0.4))
"""


@pytest.mark.slow
def test_commands_on_two_replicas_train_as_on_one(tmp_path, untrained_run, run_python):
    run = untrained_run(tmp_path / "run")
    run_python(REPLICAS, str(run))
    for kind in ("fine-tuned", "distilled"):
        one, two = (SavedClassifier(run / kind / name) for name in ("one", "mirrored"))
        for a, b in zip(one.load().get_weights(), two.load().get_weights()):
            np.testing.assert_allclose(a, b, atol=1e-4)
        losses = [
            [float(row["loss"]) for row in csv.DictReader((x.path / "history.csv").open())]
            for x in (one, two)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4) and len(losses[0]) == 2


def test_what_a_killed_process_left_is_no_classifier(tmp_path, untrained_run):
    directory = RunDirectory(untrained_run(tmp_path / "run"))
    for name in (".unfinished-123", "whole"):
        (directory.path / "fine-tuned" / name).mkdir(parents=True)
        (directory.path / "fine-tuned" / name / "classifier.keras").touch()
    assert find_classifier(directory, None).path.name == "whole"
    with pytest.raises(InputError, match="no classifier .unfinished-123"):
        find_classifier(directory, ".unfinished-123")


@pytest.mark.slow
def test_a_crash_while_saving_leaves_no_classifier(run, monkeypatch):
    def crash(model, file):
        raise OSError("disk full")

    monkeypatch.setattr("simclr_keras.runs.classifiers.save_encoder", crash)
    with pytest.raises(OSError, match="disk full"):
        fine_tune_run(_config(run, labels_per_class=1, name="crashed"))
    assert not [
        p for p in (run / "fine-tuned").iterdir() if "crash" in p.name or p.name[0] == "."
    ]


@pytest.mark.slow
def test_from_scratch_begins_with_random_weights_of_the_seed(run, monkeypatch):
    given = []

    def stop(encoder, source, projection_head, **settings):
        given.append([*encoder.get_weights(), *projection_head.get_weights()])
        raise InterruptedError

    monkeypatch.setattr(fine_tune_module, "fine_tune", stop)
    for seed, scratch in ((0, False), (0, True), (0, True), (1, True)):
        with pytest.raises(InterruptedError):
            fine_tune_run(_config(run, labels_per_class=1, from_scratch=scratch, seed=seed))
    same = [all(np.array_equal(a, b) for a, b in zip(given[1], w)) for w in given]
    assert same == [False, True, True, False]
    assert _config(run, label_fraction=0.1, from_scratch=True).folder == (
        "fine-tuned/scratch-10pct-seed0"
    )


def test_a_classifier_of_frozen_features(run, tuned, tmp_path, caplog, capfd):
    config = FineTuneConfig(run=str(run), labels_per_class=5, frozen=True)
    result = fine_tune_run(config)
    assert result.classifier == "fine-tuned/frozen-5-per-class-seed0"
    assert (result.frozen, result.head_layers, result.steps, result.optimizer) == (
        True, 0, None, None,
    )  # fmt: skip
    # What linear evaluation of these labels gives.
    train, test = (load_source("digits", part) for part in ("train", "test"))
    rows = csv.DictReader((run / result.classifier / "labels.csv").open())
    chosen = sorted(int(row["index"]) for row in rows)
    encoder, image_size = sk.load_encoder(run), RunDirectory(run).read_config().image_size
    features = [
        sk.extract_features(encoder, sk.evaluation_dataset(part, image_size, 256))
        for part in (train.subset(chosen), test)
    ]
    expected = sk.LinearProbe().fit(*features[0]).accuracy(*features[1])
    assert result.test_accuracy == pytest.approx(expected, abs=1 / 360)
    assert fine_tune_run(config) == result  # finished: nothing to do
    assert len(_entries(run, result.classifier)) == 1
    assert "pretrained, frozen" in (run / "report" / "index.html").read_text()
    with pytest.raises(InputError, match="leave out.*from_scratch=True, steps=3$"):
        FineTuneConfig(run="r", frozen=True, from_scratch=True, steps=3)
    with pytest.raises(InputError, match="leave out.*validation_fraction=0.2$"):
        FineTuneConfig(run="r", frozen=True, validation_fraction=0.2)
    # It teaches and is exported like any other.
    student = distill_run(
        DistillConfig(run=str(run), teacher="frozen-5-per-class-seed0", steps=1, batch_size=8)
    )
    assert student.classifier == "distilled/frozen-5-per-class-seed0"
    export(ExportConfig(str(run), output=str(tmp_path / "it"), classifier=result.classifier))
    assert (tmp_path / "it" / "1" / "saved_model.pb").exists()
    assert "AutoGraph" not in capfd.readouterr().err + caplog.text  # it warned of `os.fsencode`


@pytest.mark.slow
def test_from_a_teacher_to_students_and_to_an_export(run, tuned, tmp_path):
    common = dict(run=str(run), teacher="5pct-seed0", steps=2, batch_size=8)
    same = distill_run(DistillConfig(**common))
    assert same.temperature == 0.1 and same.images == 1437
    assert same.classifier == "distilled/5pct-seed0" and same.test_images == 360
    copy = distill_run(DistillConfig(**common, student="teacher", label_weight=0.5))
    assert copy.parameters == same.parameters
    small = distill_run(
        DistillConfig(**common, student="simclr_resnet18", student_width=0.0625)
    )
    assert small.temperature == 1.0 and small.parameters < same.parameters / 3
    assert distill_run(DistillConfig(**common)) == same  # finished
    (entry,) = _entries(run, "distilled/5pct-seed0-teacher")
    assert entry["measured"] == "distill"
    assert {**entry["result"], "page": str(run / "report" / "index.html")} == copy.to_dict()
    out = str(tmp_path / "m")
    with pytest.raises(InputError, match="more than one classifier 5pct-seed0. Name one of: "):
        export(ExportConfig(run, output=out, classifier="5pct-seed0"))
    path = export(
        ExportConfig(run, output=out, classifier="distilled/5pct-seed0-simclr_resnet18")
    ).path
    metadata = json.loads((path / "metadata.json").read_text())
    assert metadata["class_names"] == list("0123456789")
    assert metadata["classifier"] == "distilled/5pct-seed0-simclr_resnet18"
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    images = load_source("digits", "test").images[:3] / np.float32(255)
    found = find_classifier(RunDirectory(run), "5pct-seed0-simclr_resnet18").load()
    np.testing.assert_allclose(
        served(images=tf.constant(images))["probabilities"],
        tf.nn.softmax(found(images, training=False)),
        atol=1e-5,
    )


@pytest.mark.slow
def test_labels_of_a_list_for_images_without_any(image_folder, tmp_path, untrained_run):
    """Flat images, six of them labelled by hand; measured on another folder, by class names."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in sorted(image_folder.rglob("*.png")):
        (flat / f"{file.parent.name}_{file.name}").write_bytes(file.read_bytes())
    run = untrained_run(tmp_path / "run", flat)
    names = sorted(p.name for p in flat.iterdir())
    lines = [f"{name},{'zebras' if 'cats' in name else 'dogs'}" for name in names[::2]]
    (tmp_path / "mine.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    config = _config(run, labels=str(tmp_path / "mine.csv"))
    result = fine_tune_run(config)
    assert result.classifier == "fine-tuned/mine-seed0"
    assert result.labels == 6 and result.test_accuracy is None
    saved = find_classifier(RunDirectory(run), None)
    assert saved.read_class_names() == ("dogs", "zebras")
    # The folder has dogs, class 1 of two there and class 0 here, and cats, which are no class
    # here: only dogs can be right.
    bias = [np.zeros_like(saved.load().layers[-1].get_weights()[0]), np.array([9.0, 0.0])]
    measured = _measured_with(bias, config, run, image_folder)
    test = load_source(str(image_folder), "test", hold_out=False)  # all of it
    per_class = measured.pop("test")["per_class"]
    assert {name: row["accuracy"] for name, row in per_class.items()} == {
        "dogs": 1.0,
        "unknown to the classifier": 0.0,
    }
    assert measured == {
        "test_images": len(test),
        "test_accuracy": pytest.approx((test.labels == 1).mean()),
    }


def _measured_with(weights, config, run, folder):
    from simclr_keras.classifiers.training import measure
    from simclr_keras.runs.labelled_data import test_part

    directory = RunDirectory(run)
    classifier = find_classifier(directory, None).load()
    classifier.layers[-1].set_weights(weights)
    config = dataclasses.replace(config, eval_dataset=str(folder))
    test = test_part(config, directory.read_config(), ("dogs", "zebras"))
    return measure(classifier, test, 8)


def test_held_out_images_are_not_distilled_on(image_folder, tmp_path):
    (image_folder / "unlabelled.png").write_bytes(
        next(image_folder.rglob("*.png")).read_bytes()
    )
    settings = PretrainConfig(dataset=str(image_folder), run_dir="r", image_size=8)
    config = DistillConfig(run="r")
    source = training_part(config, settings)
    test = load_source(str(image_folder), "test")
    assert not set(source.paths) & set(test.paths)
    assert len(source) + len(test) == 13 and "unlabelled.png" in source.paths
    elsewhere = dataclasses.replace(config, eval_dataset=str(tmp_path))
    assert len(training_part(elsewhere, settings)) == 13  # then nothing is held out


@pytest.mark.slow
def test_other_data_is_measured_whole_by_a_classifier_and_its_student(
    image_folder, tmp_path, untrained_run
):
    run = untrained_run(tmp_path / "run", image_folder)
    other = str(shutil.copytree(image_folder, tmp_path / "other"))
    training = dict(run=str(run), steps=1, batch_size=4)
    tuned = fine_tune_run(FineTuneConfig(**training, eval_dataset=other))
    assert (tuned.labels, tuned.test_images) == (12, 12)
    # The teacher learned from all labels of the run's folder: measured on a fifth of it, its
    # student would know them.
    student = distill_run(DistillConfig(**training, label_weight=0.5))
    assert (student.images, student.test_images) == (12, 12)
    assert student.eval_dataset == tuned.eval_dataset == other
    with_splits = str(tmp_path / "splits")
    shutil.copytree(image_folder, f"{with_splits}/train")
    shutil.copytree(image_folder / "cats", f"{with_splits}/test/cats")
    again = fine_tune_run(FineTuneConfig(**training, eval_dataset=with_splits, name="again"))
    assert (again.labels, again.test_images) == (12, 6)


@pytest.mark.slow
def test_labels_by_index_count_within_the_training_split(
    image_folder, tmp_path, monkeypatch, untrained_run
):
    """Of a dataset with a training split only, whatever is held out and has no label."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (24, 8, 8, 3), "uint8")
    labels = np.where(np.arange(24) % 3, np.arange(24) % 2, -1)
    whole = ArraySource(images, labels, ("cats", "dogs"))
    monkeypatch.setattr(
        "simclr_keras.data.datasets.load_tfds", lambda name, split, *_: (whole, split == "all")
    )
    monkeypatch.setattr("simclr_keras.data.datasets.tfds_has_test_part", lambda *_: False)
    run = untrained_run(tmp_path / "run", "made")
    training = dict(run=str(run), steps=1, batch_size=4)
    tuned = fine_tune_run(FineTuneConfig(**training, labels_per_class=3))
    rows = list(csv.DictReader((run / tuned.classifier / "labels.csv").open()))
    chosen = {int(row["index"]): row["label"] for row in rows}
    assert len(chosen) == 6 and tuned.test_images == 4  # a fifth of 16 labels
    assert all(whole.class_names[labels[k]] == name for k, name in chosen.items())
    given = []

    def stop(teacher, student, source, **settings):
        given.append(source)
        raise InterruptedError

    monkeypatch.setattr("simclr_keras.runs.distill.distill", stop)
    for eval_dataset, count in ((None, 20), (str(image_folder), 24)):
        config = DistillConfig(**training, label_weight=0.5, eval_dataset=eval_dataset)
        with pytest.raises(InterruptedError):
            distill_run(config)
        source = given.pop()
        assert len(source) == count
        known = np.flatnonzero(source.labels >= 0)
        expected = {images[k].tobytes(): name for k, name in chosen.items()}
        assert expected == {
            source.images[k].tobytes(): source.class_names[source.labels[k]] for k in known
        }


@pytest.mark.parametrize(
    "settings, text",
    [
        (dict(label_fraction=0.1, labels_per_class=2), "in one way.*label_fraction and labels"),
        (
            dict(label_fraction=2.0),
            r"`label_fraction` must be in \(0, 1\]. Received: label_fraction=2.0",
        ),
        (
            dict(name="a/b"),
            "`name` must be the name of a folder, of up to 200 bytes. Received: name='a/b'",
        ),
        (
            dict(labels_per_class=0),
            "`labels_per_class` must be at least 1. Received: labels_per_class=0",
        ),
    ],
)
def test_settings_are_checked(settings, text):
    with pytest.raises(InputError, match=text):
        _config("run", **settings)


def test_a_width_for_a_student_that_has_none_is_refused():
    with pytest.raises(InputError, match="Received: student_width=0.5, student=pretrained"):
        DistillConfig(run="run", student_width=0.5)


def test_a_missing_teacher_and_an_export_of_what_is_no_classifier(run, tmp_path):
    with pytest.raises(InputError, match="no classifier nobody. Name one of: "):
        distill_run(DistillConfig(run=str(run), teacher="nobody"))
    with pytest.raises(InputError, match="leave out `official`, `image_size` and `l2_norm"):
        ExportConfig(run, output="m", classifier="teacher", l2_normalise=True)
