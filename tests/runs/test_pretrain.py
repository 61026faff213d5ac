import csv
import dataclasses
import json
import logging
import sys

import keras
import numpy as np
import pytest
from conftest import SMALL_NETWORK

from simclr_keras import PretrainConfig, pretrain
from simclr_keras.errors import InputError, RunFailure
from simclr_keras.runs import pretrain as pretrain_module
from simclr_keras.runs.classifier_config import FineTuneConfig
from simclr_keras.runs.config import EvaluateConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.evaluate import evaluate
from simclr_keras.runs.fine_tune import fine_tune_run
from simclr_keras.runs.length import run_length
from simclr_keras.runs.pretraining import build_augmenter, training_batches
from simclr_keras.runs.run_lock import RunLock
from simclr_keras.runs.run_source import training_source
from simclr_keras.training.callbacks import SaveCheckpoints

pytestmark = pytest.mark.usefixtures("short_resnet")


def _config(path, **changes):
    return PretrainConfig(
        **{
            "dataset": "digits",
            "run_dir": str(path),
            **SMALL_NETWORK,
            "image_size": 8,
            "batch_size": 16,
            "steps": 5,
            "checkpoint_every": 2,
            **changes,
        }
    )


def _weights(path):
    return RunDirectory(path).load_encoder().get_weights()


def _rows(path):
    with (path / "history.csv").open() as file:
        return list(csv.DictReader(file))


class _Killed(Exception):
    pass


def _pretrain_killed_at(step, config, monkeypatch):
    """Dies like a killed process, right after the checkpoint of a step."""
    save = SaveCheckpoints.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        save(self, epoch, logs)
        if int(self.model.step) == step:
            raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(SaveCheckpoints, "on_epoch_end", on_epoch_end)
        with pytest.raises(_Killed):
            pretrain(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer", [pytest.param("lars", marks=pytest.mark.optimized_graphs), "adamw"]
)
def test_interrupted_ends_as_uninterrupted(tmp_path, monkeypatch, optimizer):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(_config(whole, optimizer=optimizer))
    config = _config(parts, optimizer=optimizer)
    _pretrain_killed_at(2, config, monkeypatch)
    assert not (parts / "encoder.keras").exists()
    result = pretrain(config)
    assert (result.first_step, result.steps) == (2, 5)
    for a, b in zip(_weights(whole), _weights(parts)):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for a, b in zip(_rows(whole), _rows(parts)):
        assert a["step"] == b["step"]
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), abs=1e-4)
    assert [row["step"] for row in _rows(parts)] == ["2", "4", "5"]


def test_rows_after_the_checkpoint_are_written_once(tmp_path, monkeypatch):
    config = _config(tmp_path / "run")
    _pretrain_killed_at(4, config, monkeypatch)
    # A crash between row and checkpoint: the newest checkpoint is that of step 2.
    for file in (tmp_path / "run" / "checkpoints").glob("ckpt-4*"):
        file.unlink()
    assert pretrain(config).first_step == 2
    assert [row["step"] for row in _rows(tmp_path / "run")] == ["2", "4", "5"]


def test_a_run_that_lost_its_checkpoints_does_not_begin_again(tmp_path):
    config = _config(tmp_path / "run")
    directory = RunDirectory(config.run_dir)
    directory.begin(config, total_steps=5, interval=2)
    history = "step,loss\n2,3.0\n4,2.9\n"
    directory.history_file.write_text(history)
    with pytest.raises(RunFailure, match="history up to step 4, but there is no checkpoint in"):
        pretrain(config)
    assert directory.history_file.read_text() == history and not directory.is_finished


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[:40], "is not valid JSON"),
        (lambda text: "", "is not valid JSON"),
        (lambda text: "[1, 2]", "does not hold the settings of a run"),
        (lambda text: '{"steps": 3}', "does not hold the settings of a run"),
        (
            lambda text: text.replace('"steps"', '"stepps"'),
            "unknown setting, stepps. Did you mean",
        ),
        (
            lambda text: text.replace('"steps": 5', '"steps": "5"'),
            "steps must be a whole number",
        ),
        (lambda text: text.replace('"steps": 5', '"steps": -5'), "`steps` must be 0 or more"),
        (lambda text: text.replace('"dataset": "digits",', ""), "lacks dataset"),
    ],
)
def test_damaged_settings_are_said_on_one_line(tmp_path, damage, message):
    config = _config(tmp_path / "run")
    directory = RunDirectory(config.run_dir)
    directory.begin(config)
    directory.config_file.write_text(damage(directory.config_file.read_text()))
    for command in (lambda: pretrain(config), lambda: evaluate(EvaluateConfig(config.run_dir))):
        with pytest.raises(InputError, match=message) as caught:
            command()
        assert "Restore the file from a copy" in str(caught.value)
        assert "\n" not in str(caught.value) and "config.json" in str(caught.value)


def test_a_second_process_is_told_so(tmp_path):
    config = _config(tmp_path / "run")
    RunDirectory(config.run_dir).begin(config)
    with RunLock(config.run_dir) as lock:
        lock.hold()
        with pytest.raises(RunFailure, match="Another process is training in .*run. Wait"):
            pretrain(config)


def test_a_run_that_was_killed_while_it_began_begins(tmp_path):
    (tmp_path / ".config.unfinished-123.json").write_text('{"dataset": "dig')
    (tmp_path / "held_out.csv").write_text("index\n")
    (tmp_path / ".run.lock").touch()
    RunDirectory(tmp_path).check(_config(tmp_path))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists but is not a run"):
        RunDirectory(tmp_path).check(_config(tmp_path))


@pytest.mark.slow
def test_the_probe_leaves_out_images_beside_the_class_folders(image_folder, tmp_path):
    for file in sorted(image_folder.glob("dogs/*.png"))[1:]:
        file.rename(image_folder / file.name)  # 6 cats, 1 dog, 5 without a label
    folder = {"dataset": str(image_folder), "image_size": 16}
    config = _config(tmp_path / "run", batch_size=12, steps=2, probe=True, **folder)
    source, augmenter = (
        training_source(config, RunDirectory(config.run_dir)),
        build_augmenter(config),
    )
    (_, labels), _ = training_batches(config, source, augmenter, 0, 2)
    assert np.unique(labels, return_counts=True)[1].tolist() == [5, 6, 1]
    pretrain(config)
    (row,) = _rows(tmp_path / "run")
    # Each of 2 views of 7 images in 2 steps: a share with that denominator, not that of 12.
    hits = float(row["probe_accuracy"]) * 28
    assert hits == pytest.approx(round(hits), abs=1e-3)
    assert np.isfinite(float(row["probe_loss"]))


@pytest.mark.slow
def test_a_finished_run_says_so_and_stays(tmp_path):
    config = _config(tmp_path / "run", steps=2)
    pretrain(config)
    before = (tmp_path / "run" / "encoder.keras").stat().st_mtime_ns
    result = pretrain(config)
    assert result.first_step == result.steps == 2 and result.loss is None
    assert (tmp_path / "run" / "encoder.keras").stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.parametrize("layers", [0, 2])
def test_the_projection_head_is_kept_with_the_encoder(tmp_path, monkeypatch, layers):
    trained = {}
    saved = RunDirectory.save_networks
    config = _config(
        tmp_path / "run", steps=2, projection_layers=layers, mixed_precision="bfloat16"
    )

    def save_networks(self, encoder, projection_head):
        trained["weights"] = projection_head.get_weights()
        assert not self.is_finished
        saved(self, encoder, projection_head)

    monkeypatch.setattr(RunDirectory, "save_networks", save_networks)
    pretrain(config)
    directory = RunDirectory(tmp_path / "run")
    head = directory.load_projection_head()
    assert head.num_layers == layers and head.compute_dtype == "float32"
    assert len(head.get_weights()) == len(trained["weights"]) == (9 if layers else 0)
    for a, b in zip(head.get_weights(), trained["weights"]):
        np.testing.assert_array_equal(a, b)
    # The moving means have moved: these are a trained head's weights, not new ones.
    assert not layers or all(np.abs(norm.moving_mean).max() > 0 for norm in head.norm_layers)
    features = np.ones((2, 64), "float32")
    assert head(features, layers=min(layers, 1)).shape == (2, 64)


@pytest.mark.slow
def test_a_finished_run_without_a_head_gets_it_from_its_checkpoint(tmp_path):
    config = _config(tmp_path / "run", steps=2)
    pretrain(config)
    directory = RunDirectory(tmp_path / "run")
    weights, head = _weights(directory.path), directory.load_projection_head().get_weights()
    directory.projection_head_file.unlink()
    with pytest.raises(InputError, match="no projection_head.keras.*remove its encoder.keras"):
        directory.load_projection_head()
    directory.encoder_file.unlink()
    result = pretrain(config)
    assert (result.first_step, result.steps, result.loss) == (2, 2, None)
    again = directory.load_projection_head().get_weights()
    for a, b in zip([*weights, *head], [*_weights(directory.path), *again]):
        np.testing.assert_array_equal(a, b)


def test_files_of_a_run(tmp_path):
    path = tmp_path / "run"
    pretrain(_config(path, steps=3, probe=True))
    settings = json.loads((path / "config.json").read_text())
    assert settings["batch_size"] == 16 and settings["keras_generation"] in (2, 3)
    assert {"loss", "probe_accuracy", "learning_rate"} <= set(_rows(path)[0])
    assert list((path / "tensorboard").glob("events*")) and list(
        (path / "checkpoints").iterdir()
    )


def test_other_settings_do_not_continue_a_run(tmp_path):
    RunDirectory(tmp_path / "run").begin(_config(tmp_path / "run", steps=2))
    with pytest.raises(InputError, match=r"other settings: temperature=0.1 \(now 0.5\)"):
        pretrain(_config(tmp_path / "run", steps=2, temperature=0.5))


def test_the_other_keras_generation_is_refused(tmp_path):
    config = _config(tmp_path / "run", steps=2)
    RunDirectory(tmp_path / "run").begin(config)
    file = tmp_path / "run" / "config.json"
    settings = json.loads(file.read_text())
    settings["keras_generation"] = 5 - settings["keras_generation"]
    file.write_text(json.dumps(settings))
    with pytest.raises(RunFailure, match="works only with the Keras generation"):
        pretrain(config)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"batch_size": 2000}, r"batch of 2000 is larger than the dataset \(1437 images\)"),
        ({"encoder": "resnet18"}, "no encoder named 'resnet18'"),
        ({"dataset": "digit"}, "digit"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, changes, text):
    with pytest.raises(InputError, match=text):
        pretrain(_config(tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists but is not a run"):
        pretrain(_config(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_non_finite_loss_stops_the_run(tmp_path, monkeypatch):
    nan = lambda *_: keras.optimizers.SGD(float("nan"))  # noqa: E731
    monkeypatch.setattr(pretrain_module, "build_optimizer", nan)
    with pytest.raises(RunFailure, match="The loss is nan at step .*`learning_rate`"):
        pretrain(_config(tmp_path / "run"))
    assert not (tmp_path / "run" / "encoder.keras").exists()


@pytest.mark.slow
def test_mixed_precision_runs_end_with_a_float32_encoder(tmp_path):
    pretrain(_config(tmp_path / "run", steps=2, mixed_precision="bfloat16"))
    encoder = RunDirectory(tmp_path / "run").load_encoder()
    assert encoder.compute_dtype == "float32"
    assert all("float32" in str(layer.dtype) for layer in encoder.layers)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "lamb"])
def test_other_optimizers_train(tmp_path, optimizer, caplog):
    config = _config(tmp_path / "run", optimizer=optimizer, learning_rate_scaling="linear")
    assert np.isfinite(pretrain(config).loss)
    # LAMB's default learning rate does not depend on the batch.
    unused = "`learning_rate_scaling=linear` has no effect here" in caplog.text
    assert unused == (optimizer == "lamb")


@pytest.mark.slow
def test_weight_decay_shrinks_kernels_only(tmp_path):
    # 1 - learning rate * weight decay = 0: one step leaves of a kernel what AdamW adds, 1e-3.
    pretrain(
        _config(
            tmp_path / "run",
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=1e3,
            warmup_fraction=0.0,
            steps=1,
        )
    )
    variables = RunDirectory(tmp_path / "run").load_encoder().trainable_variables
    largest = {rank: [] for rank in (1, 4)}
    for variable in variables:
        largest[len(variable.shape)].append(np.abs(variable.numpy()).max())
    assert max(largest[4]) < 2e-3
    # Gammas begin at 1: of the stem, and in the block the first and the shortcut's.
    assert sum(value > 0.99 for value in largest[1]) == 3


@pytest.mark.slow
def test_any_integer_of_64_bits_is_a_seed(image_folder, tmp_path):
    weights = []
    for name, seed in (("run", -1), ("other", 2**32 - 1)):  # equal in 32 bits
        config = _config(tmp_path / name, dataset=str(image_folder), batch_size=4, steps=1)
        pretrain(dataclasses.replace(config, image_size=16, seed=seed))
        weights.append(np.concatenate([w.ravel() for w in _weights(tmp_path / name)]))
    assert (weights[0] != weights[1]).mean() > 0.5
    evaluate(EvaluateConfig(tmp_path / "run", compare_random=True))
    fine_tune_run(FineTuneConfig(run=str(tmp_path / "run"), steps=1, seed=-1))


def test_folder_of_many_sizes_and_its_evaluation(image_folder, tmp_path):
    run = tmp_path / "run"
    config = _config(run, dataset=str(image_folder), batch_size=4, steps=2, image_size=16)
    pretrain(config)
    result = evaluate(EvaluateConfig(run, compare_random=True))
    assert result.train_images + result.test_images == 12
    for row in (result, result.random_encoder):
        assert 0 <= row.knn_accuracy <= 1 and 0 <= row.linear_accuracy <= 1
    written = json.loads((run / "evaluation.json").read_text())
    assert {**written, "page": str(run / "report" / "index.html")} == result.to_dict()


def test_evaluation_needs_labels_and_a_finished_run(image_folder, tmp_path, untrained_run):
    run = tmp_path / "run"
    with pytest.raises(InputError, match="There is no run in"):
        evaluate(EvaluateConfig(run))
    untrained_run(run, image_folder / "cats")
    with pytest.raises(InputError, match="label"):
        evaluate(EvaluateConfig(run))
    (run / "encoder.keras").unlink()
    with pytest.raises(InputError, match="not finished"):
        evaluate(EvaluateConfig(run))


@pytest.mark.parametrize(
    "name, value",
    [("temperature", 0.0), ("batch_size", 1), ("optimizer", "adam"), ("crop_area_min", 0.0)],
)
def test_settings_are_checked(tmp_path, name, value):
    with pytest.raises(InputError, match=f"`{name}` must be .*Received: {name}={value!r}"):
        _config(tmp_path, **{name: value})


def test_lamb_has_no_weight_decay(tmp_path):
    with pytest.raises(InputError, match="`weight_decay` must be 0 with `optimizer=lamb`"):
        _config(tmp_path, optimizer="lamb", weight_decay=0.1)


def test_config_round_trip(tmp_path):
    config = _config(tmp_path / "run", blur=False, weights=None)
    RunDirectory(tmp_path / "run").begin(config)
    assert RunDirectory(tmp_path / "run").read_config() == dataclasses.replace(config)


def test_a_run_begun_with_idle_epochs_beside_its_steps_goes_on(tmp_path):
    """`epochs` had the default 100, also beside `steps`, which overruled it."""
    for name, length, epochs in (
        ("steps", {"steps": 2}, 100),
        ("epochs", {"steps": None}, 100),
    ):
        config = _config(tmp_path / name, **length)
        directory = RunDirectory(tmp_path / name)
        directory.begin(config)
        settings = json.loads(directory.config_file.read_text())
        directory.config_file.write_text(json.dumps({**settings, "epochs": epochs}))
        directory.check(config)
        assert directory.read_config().total_steps(3) == (2 if length["steps"] else 300)
    assert run_length(dataclasses.replace(config, epochs=100), directory, 3) == 300


OWN_ENCODER = """
import keras

def build(image_size, channels):
    return keras.Sequential([
        keras.Input((image_size, image_size, channels)),
        keras.layers.Conv2D(4, 3),
        keras.layers.GlobalAveragePooling2D(),
    ])
"""


@pytest.mark.slow
def test_an_encoder_of_ones_own_is_imported_for_pretraining_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_encoder.py").write_text(OWN_ENCODER)
    network = {
        "encoder": "own_encoder:build",
        "width_multiplier": 1.0,
        "small_image_stem": False,
    }
    config = _config(tmp_path / "run", steps=2, **network)
    pretrain(config)
    # A run may come from someone else: its config.json makes no command run code.
    (tmp_path / "own_encoder.py").write_text("raise RuntimeError")
    monkeypatch.delitem(sys.modules, "own_encoder")
    run = str(tmp_path / "run")
    assert evaluate(EvaluateConfig(run, compare_random=True)).random_encoder
    assert fine_tune_run(FineTuneConfig(run=run, labels_per_class=1, steps=1)).steps == 1
    assert pretrain(config).loss is None  # finished


@pytest.mark.slow
def test_an_automatic_precision_is_chosen_once(
    tmp_path, monkeypatch, caplog, interrupted_after
):
    found = {"chosen": ("bfloat16", "because")}
    monkeypatch.setattr("simclr_keras.runs.pretrain.choose_precision", lambda: found["chosen"])
    config = _config(tmp_path / "run", steps=4, mixed_precision="auto")
    with interrupted_after(2), caplog.at_level(logging.INFO, logger="simclr_keras"):
        pretrain(config)
    assert "Precision: bfloat16 (because)." in caplog.text
    found["chosen"] = ("none", "elsewhere")  # another machine: the run stays as it is
    pretrain(config)
    pretrain(_config(tmp_path / "given", steps=4, mixed_precision="bfloat16"))
    for a, b in zip(_weights(tmp_path / "run"), _weights(tmp_path / "given"), strict=True):
        np.testing.assert_array_equal(a, b)
