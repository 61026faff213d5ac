import dataclasses
import json

import pytest
from conftest import SMALL_NETWORK

from simclr_keras import PretrainConfig, pretrain
from simclr_keras.errors import InputError
from simclr_keras.keras_versions import KERAS_3
from simclr_keras.runs.directory import RunDirectory, deciding_settings
from simclr_keras.runs.setting_sources import read_settings

RUN = {"dataset": "digits", "run_dir": "r"}


@pytest.fixture
def write(tmp_path):
    """Writes a file of settings; returns its path."""

    def write(content, name="settings.yaml"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def _from(*arguments, **settings):
    return PretrainConfig.from_sources(*arguments, **{**RUN, **settings})


def test_the_later_source_wins(write):
    file = write("temperature: 0.3\nblur: true\nseed: 7\n")
    config = _from("cifar10", file, "documents", seed=8)
    assert config.batch_size == 512  # preset
    assert config.temperature == 0.3 and config.blur  # file over preset
    assert not config.flip and config.crop_area_min == 0.4  # augmentations over preset
    assert config.seed == 8 and config.dataset == "digits"  # given over file and preset
    assert config.strategy == "auto"
    assert {name: config.sources.get(name) for name in ("batch_size", "seed", "flip")} == {
        "batch_size": "preset cifar10",
        "seed": "given",
        "flip": "augment documents",
    }
    assert config.sources["temperature"] == config.sources["blur"] == f"file {file}"
    assert "strategy" not in config.sources


def test_augmentations_that_are_given_win_over_the_file_and_those_in_it_do_not(write):
    file = write("augment: documents\nflip: true\ncrop_area_min: 0.5\n")
    inside, given = _from(config=file), _from(config=file, augment="aerial")
    assert inside.flip and inside.crop_area_min == 0.5 and inside.hue_jitter == 0.2
    assert inside.sources["color_jitter_strength"] == "augment documents"
    assert given.quarter_turns and given.crop_area_min == 0.2
    assert "augment documents" not in given.sources.values()


def test_a_preset_in_a_file(write):
    file = write({"preset": "small-images", "steps": 10, **RUN}, "s.json")
    config = PretrainConfig.from_sources(config=file)
    assert config.optimizer == "adamw" and config.steps == 10 and config.run_dir == "r"
    other = PretrainConfig.from_sources("cifar10", file)  # what is given wins
    assert other.optimizer == "lars" and other.steps == 10 and other.epochs is None


def test_one_of_several_alternatives_drops_the_others():
    assert _from("cifar10").epochs == 1000
    config = _from("cifar10", steps=5, learning_rate=0.3)
    assert (config.steps, config.epochs) == (5, None) and "epochs" not in config.sources
    assert (config.learning_rate, config.base_learning_rate) == (0.3, None)
    assert _from("small-images", epochs=2).steps is None
    assert _from("cifar10", steps=None).epochs == 1000
    with pytest.raises(InputError, match="Choose the length"):
        _from("cifar10", steps=5, epochs=5)


def test_another_optimizer_drops_what_was_chosen_for_the_first():
    config = _from("cifar10", optimizer="adamw")
    assert (config.base_learning_rate, config.weight_decay) == (None, None)
    assert config.learning_rate_scaling == "sqrt" and config.batch_size == 512
    assert _from("cifar10", optimizer="lars").base_learning_rate == 1.0
    assert _from("cifar10", optimizer="sgd", weight_decay=0.1).weight_decay == 0.1


def test_a_schedule_of_sizes_belongs_to_the_size_and_the_encoder_that_it_was_chosen_for():
    assert _from("small-cpu").image_size_schedule == "24@0,32@0.6"
    assert _from("small-cpu", image_size=32).image_size_schedule is not None
    assert _from("small-cpu", image_size=64).image_size_schedule is None
    assert _from("small-cpu", encoder="resnet50").image_size_schedule is None
    given = _from("small-cpu", image_size=64, image_size_schedule="48@0,64@0.6")
    assert given.image_size_schedule == "48@0,64@0.6"


def test_a_setting_without_a_default_must_be_given(write):
    with pytest.raises(InputError, match="`dataset` and `run_dir` must be given"):
        PretrainConfig.from_sources("small-images")
    with pytest.raises(InputError, match="^`run_dir` must"):
        PretrainConfig.from_sources("cifar10")


@pytest.mark.parametrize(
    "content, message",
    [
        ("tempreture: 0.3", "unknown setting, tempreture. Did you mean temperature?"),
        ("run: 3", "unknown setting, run."),
        ("batch_size: many", "batch_size must be a whole number. Received: 'many'"),
        ("batch_size: 2.5", "batch_size must be a whole number. Received: 2.5"),
        ("batch_size: true", "batch_size must be a whole number. Received: True"),
        ("batch_size: null", "batch_size must be a whole number. Received: None"),
        ("flip: 1", "flip must be true or false. Received: 1"),
        ("encoder: 18", "encoder must be text. Received: 18"),
        ("optimizer: [lars]", "optimizer must be text. Received: ['lars']"),
        ("temperature: [0.1]", "temperature must be a number. Received: [0.1]"),
        ("preset: cifar", "`preset` must be one of simclr-v1-imagenet"),
        ("- 1", "must hold names of settings and their values. Received: [1]"),
        ("", "must hold names of settings and their values. Received: None"),
        ("a: b: c", "is not valid YAML: mapping values are not allowed here"),
    ],
)
def test_what_a_file_may_not_say(write, content, message):
    with pytest.raises(InputError) as refused:
        _from(config=write(content))
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_cannot_be_read(write, tmp_path):
    with pytest.raises(InputError, match="is not valid JSON: Expecting"):
        _from(config=write("{", "a.json"))
    with pytest.raises(InputError, match="cannot be read: .*No such file"):
        _from(config=str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match=r"must be a \.json or \.yaml file"):
        _from(config=write("{}", "a.txt"))


def test_a_value_out_of_range_is_traced_to_its_source(write):
    file = write("temperature: -1")
    with pytest.raises(
        InputError, match=r"Received: temperature=-1.0 \(temperature comes from fi"
    ):
        _from(config=file)
    with pytest.raises(InputError, match=r"Received: temperature=-2$"):
        _from(config=file, temperature=-2)


@pytest.mark.parametrize("text", ["4e-3", "4E-3", "0.004", "4.e-3", ".4e-2", "+4e-03"])
def test_numbers_in_yaml(write, text):
    rate = read_settings(write(f"learning_rate: {text}"), PretrainConfig)["learning_rate"]
    assert rate == 0.004 and isinstance(rate, float)


def test_whole_numbers_become_those_of_the_setting(write):
    settings = read_settings(
        write("temperature: 1\nsteps: null\nencoder: e\ndata_dir: ~\nmixed_precision: none"),
        PretrainConfig,
    )
    assert type(settings.pop("temperature")) is float
    assert settings == {
        "steps": None,
        "encoder": "e",
        "data_dir": None,
        "mixed_precision": "none",
    }


def test_a_runs_own_config_is_a_file_of_settings(image_folder, tmp_path):
    config = PretrainConfig(str(image_folder), str(tmp_path / "run"), steps=3, temperature=0.2)
    directory = RunDirectory(config.run_dir)
    directory.begin(config)
    file = str(directory.config_file)
    assert PretrainConfig.from_sources(config=file) == config
    again = PretrainConfig.from_sources(config=file, run_dir="other", epochs=2)
    assert again == dataclasses.replace(config, run_dir="other", epochs=2, steps=None)


@pytest.mark.slow
def test_a_run_keeps_the_sources_and_resumes_without_them(tmp_path, short_resnet):
    settings = {**SMALL_NETWORK, "image_size": 8, "batch_size": 16, "steps": 1}
    run = {"dataset": "digits", "run_dir": str(tmp_path / "run")}
    first = PretrainConfig.from_sources("small-images", None, "documents", **settings, **run)
    assert pretrain(first).first_step == 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["sources"] == first.sources
    assert saved["sources"]["temperature"] == "preset small-images"
    by_flags = PretrainConfig(
        **{f.name: getattr(first, f.name) for f in dataclasses.fields(first)} | {"sources": {}}
    )
    file = tmp_path / "run" / "config.json"
    for config in (by_flags, first, PretrainConfig.from_sources(config=file)):
        assert config == first and deciding_settings(config) == deciding_settings(first)
        assert pretrain(config).first_step == 1  # finished
    assert json.loads(file.read_text())["sources"] == first.sources
    with pytest.raises(InputError, match="holds a run with other settings: flip=False"):
        pretrain(dataclasses.replace(first, flip=True))


def test_a_run_begun_before_there_were_sources_goes_on(tmp_path):
    config = PretrainConfig("digits", str(tmp_path), steps=2)
    added = {
        *("sources", "vertical_flip", "quarter_turns", "solarize_probability", "hue_jitter"),
        *("saturation_jitter", "grayscale_probability", "base_learning_rate"),
    }
    saved = {n: v for n, v in dataclasses.asdict(config).items() if n not in added}
    directory = RunDirectory(tmp_path)
    generation = {"keras_generation": 3 if KERAS_3 else 2}
    directory.config_file.write_text(json.dumps({**saved, **generation}))
    directory.check(config)
    assert directory.read_config() == config
