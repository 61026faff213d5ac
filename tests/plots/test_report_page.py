"""The page of a run from plain values: what it says, and that all names are text."""

import html.parser
import re

import numpy as np
import pytest

from simclr_keras.plots.histogram import counts_of
from simclr_keras.plots.report_page import write_report_page
from simclr_keras.plots.run_facts import RunFacts

EVIL = '<img src=x onerror="alert(1)">'
SETTINGS = {
    "dataset": "photos", "run_dir": "runs/a", "encoder": "simclr_resnet18", "batch_size": 4,
    "views": 2, "seed": 7, "flip": True, "weights": None,
}  # fmt: skip
METRICS = {
    "top_1": 0.75,
    "top_1_interval": [0.5, 0.9],
    "per_class": {EVIL: {"accuracy": 1.0, "images": 2}, "dog": {"accuracy": 0.5, "images": 2}},
    "confusion": {"classes": [EVIL, "dog"], "counts": [[2, 0], [1, 1]]},
}
CURVE = [{"labels_per_class": n, "mean": 0.5 + n / 20, "deviation": 0.1} for n in (1, 2, 5)]
EVALUATION = {
    "dataset": "photos", "eval_dataset": EVIL, "train_images": 16, "test_images": 4, "classes": 2,
    "knn": {**METRICS, "top_1": 0.625}, "linear": {"lbfgs": METRICS}, "linear_accuracy": 0.75,
    "learning_curve": CURVE, "random_encoder": {"linear": {"lbfgs": {**METRICS, "top_1": 0.25}}},
}  # fmt: skip
PICTURE = "data:image/png;base64,AAAA"
NEAR = [
    {"name": EVIL, "label": label, "cosine": 0.5, "picture": PICTURE} for label in (0, 0, 1)
]
PICTURES = {
    "views": [[PICTURE] * 2] * 4,
    "draws": {"histograms": {"hue": counts_of(np.arange(5.0), (0, 4))}, "shares": {"flip": [1, 1]}},
    "sample": {
        "part": "held_out", "images": 3, "class_names": [EVIL, "dog"], "same_class": 0.5,
    },
    "neighbours": [NEAR],
    "map": {"places": [[0, 0], [1, 1]], "names": [EVIL, "b"], "labels": [0, 1]},
}  # fmt: skip
MEASURED = {
    "part": "held_out", "images": 4, "loss": 1.0, "contrastive_accuracy": 0.5, "retrieval": 0.5,
    "alignment": 0.5, "uniformity": -1.0, "effective_rank": 5.0,
}  # fmt: skip
FACTS = {
    "run": f"runs/{EVIL}",
    "settings": {**SETTINGS, "dataset": EVIL},
    "sources": {"dataset": "given", "seed": EVIL},
    "images": {"images": 16, "held_out": 4, "classes": 2},
    "is_finished": True,
    "collapsed_loss": 1.9,
    "history": [
        {"step": str(s), "loss": "1.5", "contrastive_accuracy": "0.5", "learning_rate": "0.1",
         "images_per_second": "2"} for s in (10, 20)
    ],
    "measurements": [
        {**MEASURED, "step": 0, "knn_accuracy": 0.125}, {**MEASURED, "step": 20, "knn_accuracy": 0.5}
    ],
    "findings": [f"too {EVIL}"],
    "evaluation": EVALUATION,
    "classifiers": [
        {"classifier": f"fine-tuned/{EVIL}", "labels": 8, "steps": 5, "test": METRICS,
         "test_accuracy": 0.75, "test_images": 4},
        {"classifier": "distilled/b", "teacher": "a", "images": 16, "steps": 5, "test": None,
         "test_accuracy": None, "test_images": 0, "student": "teacher"},
    ],
    "pictures": PICTURES,
    "commands": [
        {"measured": "pretrain", "command": None, "date": "2026-01-02T03:04:05+00:00"},
        {"measured": "evaluate", "command": f"evaluate {EVIL}", "python": "3.11", "version": "1"},
    ],
}  # fmt: skip


class _Page(html.parser.HTMLParser):
    """The elements of a page, and the text of each section."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.sections: dict[str, str] = {}
        self._section = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "section":
            self._section = dict(attributes)["id"]
            self.sections[self._section] = ""

    def handle_data(self, data):
        if self._section:
            self.sections[self._section] += data


@pytest.fixture
def page_of(tmp_path):
    def make(**facts) -> _Page:
        write_report_page(tmp_path / "index.html", RunFacts(**{**FACTS, **facts}))
        return _Page((tmp_path / "index.html").read_text(encoding="utf-8"))

    return make


def test_all_sections_are_there_and_every_name_is_text(page_of):
    page = page_of(problems=[EVIL])
    assert list(page.sections) == [
        "summary", "accuracy", "few-labels", "classifiers", "curves", "neighbours", "map", "views",
        "draws", "commands", "settings",
    ]  # fmt: skip
    for tag, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on")}, (tag, attributes)
        assert tag not in ("link", "iframe", "base")
        if tag == "img":
            assert attributes["src"] == PICTURE
    for name in ("summary", "accuracy", "classifiers", "map", "commands", "settings"):
        assert EVIL in page.sections[name], name
    links = [a["href"] for tag, a in page.elements if tag == "a"]
    assert links == [f"#{name}" for name in page.sections]


def test_the_summary_in_words(page_of):
    text = page_of().sections["summary"]
    assert "16 images" in text and "(4 more were held out): 20 steps of 4 images" in text
    assert "(5 passes over the data), 40 seconds of training." in text
    assert "linear evaluation of its frozen features is right for 75 %" in text
    assert "(95 % interval 50 % to 90 %), kNN for 62.5 %." in text
    assert "random weights reaches 25 %" in text
    assert "kNN on held-out images went from 12.5 % before the first step to 50 %." in text
    compared = {
        **EVALUATION,
        "comparisons": [{"title": EVIL, "measured": {"knn": METRICS, "learning_curve": CURVE}}],
        "verdict": {"sentence": "It gains much."},
    }
    page = page_of(evaluation=compared)
    assert "It gains much." in page.sections["summary"]
    assert f"{EVIL}kNN" in page.sections["accuracy"]
    assert EVIL in page.sections["few-labels"]
    fine = page_of(findings=[]).sections["summary"]
    assert "nothing wrong" in fine and "nothing wrong" not in text
    as_it_is = page_of(total_steps=0, history=[], evaluation={}).sections["summary"]
    assert "without training" in as_it_is and "contrastive" not in as_it_is
    begun = page_of(is_finished=False, total_steps=60).sections["summary"]
    assert "not finished" in begun and "of 60 are made" in begun


def test_without_labels_the_partners_are_what_was_found(page_of):
    rows = [
        {k: v for k, v in row.items() if k != "knn_accuracy"} for row in FACTS["measurements"]
    ]
    page = page_of(measurements=rows, evaluation={})
    assert "the partner of a view was its nearest for 50 %" in page.sections["summary"]
    assert "kNN accuracy" not in page.sections["curves"] and "accuracy" not in page.sections


def test_what_is_not_known_has_no_section(page_of):
    empty = {name: {} for name in ("evaluation", "pictures", "images")}
    lists = {name: [] for name in ("history", "measurements", "classifiers", "commands")}
    page = page_of(**empty, **lists, findings=None)
    assert list(page.sections) == ["summary", "settings"]


def test_more_views_and_neighbours(page_of):
    page = page_of()
    assert "the 3 views of each" in page.sections["views"]
    titles = [a.get("title") for tag, a in page.elements if tag == "img"]
    assert titles[-4:] == ["image", "view 1", "view 2", "view 3"]
    kinds = [a.get("class") for tag, a in page.elements if tag == "figure"]
    assert kinds.count("same") == kinds.count("other") == 1
    assert f"0.500✓ {EVIL}" in page.sections["neighbours"]
    assert "✗ dog" in page.sections["neighbours"]


def test_settings_say_where_they_come_from_and_python_calls_are_written_out(page_of):
    page = page_of()
    assert "weights\u2013 default" in page.sections["settings"].replace("\n", "")
    assert "sk.pretrain(sk.PretrainConfig(dataset=" in page.sections["commands"]
    assert "seed=7" in page.sections["commands"] and "flip=" not in page.sections["commands"]


@pytest.mark.parametrize(
    "name, value",
    [
        ("evaluation", {"knn": 5}),
        ("evaluation", {"learning_curve": [1]}),
        ("pictures", {"map": [1]}),
        ("history", [{"step": "1", "loss": "x"}]),
        ("classifiers", [{"test_accuracy": 1}]),
    ],
)
def test_damaged_facts_cost_their_section_only(tmp_path, name, value):
    problems = write_report_page(tmp_path / "a.html", RunFacts(**{**FACTS, name: value}))
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert problems and all("is damaged" in problem for problem in problems)
    assert 'id="settings"' in text and 'id="summary"' in text and "is damaged" in text


def test_the_page_is_drawn_for_light_and_dark(tmp_path):
    write_report_page(tmp_path / "a.html", RunFacts(**FACTS))
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    drawn = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert not re.search(r"(fill|stroke|color)[:=]\"?(#|black|white)", drawn)
