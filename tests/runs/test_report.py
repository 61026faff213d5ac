import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL_NETWORK

from simclr_keras import (
    EvaluateConfig,
    FineTuneConfig,
    PretrainConfig,
    ReportConfig,
    evaluate,
    fine_tune_run,
    pretrain,
)
from simclr_keras.errors import InputError
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.report import report
from simclr_keras.runs.report_page import refresh_page

pytestmark = pytest.mark.usefixtures("short_resnet")
HISTORY = """step,epoch,learning_rate,contrastive_accuracy,loss,images_per_second
1,0.5,0.1,0.25,1.9,10.0
2,1.0,0.0,0.5,1.8,20.0
"""


@pytest.mark.slow
@pytest.mark.parametrize("crop", ["auto", "device"])
def test_pictures_of_a_folder(image_folder, tmp_path, untrained_run, crop):
    settings = {"image_size": 16, "batch_size": 4, "steps": 2, "crop": crop}
    run = untrained_run(tmp_path / "run", image_folder, **settings)
    (run / "history.csv").write_text(HISTORY)
    result = report(ReportConfig(str(run)))
    assert result.curves == run / "report" / "curves.png"
    assert set(result.to_dict()) == {"page", "views", "draws", "curves"}
    for path in (result.views, result.draws, result.curves):
        picture = tf.io.decode_png(tf.io.read_file(str(path))).numpy()
        assert picture.shape[1] > 400 and picture.std() > 10


@pytest.mark.slow
def test_pictures_show_what_was_trained_on(tmp_path, monkeypatch):
    """The views on the sheet are those that the first step drew."""
    from simclr_keras.views.augmenter import SimCLRAugmenter

    run, trained, shown = tmp_path / "run", [], []
    call = SimCLRAugmenter.call

    def spy(self, images, seed=None, first_position=0):
        views = call(self, images, seed, first_position)
        tf.py_function(
            lambda step, v: trained.append((int(step), v.numpy())), (seed[1], views[0]), []
        )
        return views

    with monkeypatch.context() as patch:
        patch.setattr(SimCLRAugmenter, "call", spy)
        settings = {**SMALL_NETWORK, "image_size": 16, "batch_size": 4, "steps": 2}
        pretrain(PretrainConfig(dataset="digits", run_dir=str(run), probe=True, **settings))
    monkeypatch.setattr(
        "simclr_keras.plots.views.save_view_pairs", lambda *a: shown.append(a) or a[0]
    )
    report(ReportConfig(str(run)))
    (first,) = (views for step, views in trained if step == 0)
    _, images, view_1, view_2 = shown[0]
    assert len(images) == len(view_1) == len(view_2) == 4
    np.testing.assert_allclose(view_1, first, atol=1e-5)


def test_a_run_is_needed(tmp_path):
    with pytest.raises(InputError, match="There is no run in"):
        report(ReportConfig(str(tmp_path)))


def _sections(run) -> list[str]:
    return re.findall(r'<section id="([\w-]+)">', (run / "report" / "index.html").read_text())


def test_the_page_of_a_run_and_what_later_commands_add(tmp_path, image_folder, untrained_run):
    (image_folder / "cats").rename(image_folder / "<b>cats")
    settings = {"image_size": 8, "batch_size": 4, "steps": 2}
    run = untrained_run(tmp_path / "run", image_folder, with_lists=True, **settings)
    page = report(ReportConfig(str(run))).page
    begun = ["summary", "neighbours", "map", "views", "draws", "settings"]
    assert page == run / "report" / "index.html" and _sections(run) == begun
    pictures = json.loads((run / "report" / "pictures.json").read_text())
    sample, rows = pictures["sample"], pictures["neighbours"]
    assert (sample["part"], sample["images"]) == ("held_out", 3)
    assert sample["class_names"] == ["<b>cats", "dogs"]
    assert [len(row) for row in rows] == [3, 3, 3]
    same = [query["label"] == first["label"] for query, first, _ in rows]
    assert sample["same_class"] == pytest.approx(np.mean(same))
    assert {query["label"] for query, *_ in rows[:2]} == {0, 1}  # of each class first
    assert all(each["name"].endswith(".png") for row in rows for each in row)
    (run / "history.csv").write_text(HISTORY)
    assert evaluate(EvaluateConfig(str(run))).page == page
    result = fine_tune_run(FineTuneConfig(run=str(run), steps=1, labels_per_class=2))
    assert result.page == page and "page" not in json.loads(
        (run / result.classifier / "result.json").read_text()
    )
    later = [
        "summary",
        "accuracy",
        "classifiers",
        "curves",
        *begun[1:-1],
        "commands",
        "settings",
    ]
    assert _sections(run) == later
    text = page.read_text()
    assert "<b>cats" not in text and "&lt;b&gt;cats" in text
    assert json.loads((run / "report" / "pictures.json").read_text()) == pictures


@pytest.mark.parametrize(
    "file, content, section",
    [
        ("monitor.csv", "step,held_out_images,held_out_loss\n1,2,x\n", "curves"),
        ("monitor.csv", "a,b\n1,2\n", "curves"),
        ("evaluation.json", '{"knn": ', "accuracy"),
        ("evaluation.json", '{"knn": {"top_1": "x"}}', "accuracy"),
        ("results.json", "{}", "commands"),
        ("report/pictures.json", "[]", "views"),
    ],
)
def test_a_damaged_file_is_a_line(tmp_path, untrained_run, caplog, file, content, section):
    run = untrained_run(tmp_path / "run", batch_size=4)
    (run / "report").mkdir()
    (run / file).write_text(content)
    assert refresh_page(RunDirectory(run)) == run / "report" / "index.html"
    assert section not in _sections(run) and "settings" in _sections(run)
    assert caplog.records and all("\n" not in r.getMessage() for r in caplog.records)
    assert "damaged" in caplog.text or "cannot be read" in caplog.text


@pytest.mark.slow
def test_an_unfinished_run_has_a_page(tmp_path, untrained_run):
    run = untrained_run(tmp_path / "run", batch_size=4)
    (run / "encoder.keras").unlink()
    report(ReportConfig(str(run)))
    assert _sections(run) == ["summary", "views", "draws", "settings"]


def test_what_cannot_be_drawn_is_a_warning(tmp_path, untrained_run, caplog):
    run = untrained_run(tmp_path / "run", batch_size=4)

    def fail():
        raise RuntimeError("no room\nfor this")

    assert refresh_page(RunDirectory(run), fail) is None
    (record,) = caplog.records
    assert record.getMessage().endswith("index.html could not be drawn: no room")


def test_the_page_can_be_left_out(tmp_path, untrained_run):
    run = untrained_run(tmp_path / "run", batch_size=4, report=False)
    assert refresh_page(RunDirectory(run)) is None and not (run / "report").exists()
    (run / "report").mkdir()
    (run / "report" / "index.html").touch()  # asked for with `report`: not to become stale
    assert refresh_page(RunDirectory(run)) and _sections(run) == ["summary", "settings"]


@pytest.mark.slow
@pytest.mark.pictures
def test_pretraining_ends_with_a_page(tmp_path, image_folder, monkeypatch):
    """Images without labels; a run of two steps cannot afford features, but views."""
    config = PretrainConfig(
        dataset=str(image_folder / "cats"), run_dir=str(tmp_path / "run"), batch_size=4, steps=2,
        checkpoint_every=1, views=3, **{**SMALL_NETWORK, "image_size": 8},
    )  # fmt: skip
    result = pretrain(config)
    run = tmp_path / "run"
    assert result.page == run / "report" / "index.html"
    expected = ["summary", "curves", "views", "draws", "commands", "settings"]
    assert _sections(run) == expected
    assert "the 3 views of each" in result.page.read_text()
    settings = json.loads((run / "config.json").read_text())
    assert settings["counts"] == {"images": 6, "held_out": 0, "classes": 0}
    (call,) = settings["calls"]
    assert call["first_step"] == 0 and call["command"] is None and call["keras"]
    pictures = run / "report" / "pictures.json"
    drawn = pictures.read_text()
    for file in (result.page, pictures):  # as if the disk had been full
        file.unlink()
    assert pretrain(config).page == result.page and _sections(run) == expected
    assert pictures.read_text() == drawn
    longer = dataclasses.replace(config, steps=3)
    monkeypatch.setattr("simclr_keras.runs.report_pictures._LEAST_IMAGES", 1)
    pretrain(longer)
    assert {"neighbours", "map"} <= set(_sections(run))
    calls = json.loads((run / "config.json").read_text())["calls"]
    assert [each["first_step"] for each in calls] == [0, 2]
