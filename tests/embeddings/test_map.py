"""The page of `map_embeddings`: what is found, what is in the file, and that its scripts run."""

import base64
import configparser
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from processes import ROOT

from simclr_keras.embeddings.config import MapConfig
from simclr_keras.embeddings.map import class_folder, map_embeddings
from simclr_keras.errors import InputError, RunFailure

ASSETS = ROOT / "simclr_keras" / "embeddings" / "map_assets"
ODD_NAME = "a/</script><img src=x onerror=alert(1)>.png"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def embeddings(tmp_path, rng):
    """60 vectors in 3 well separated groups and folders; 7 and 30 are twins, 59 is far from all."""
    centres = 10 * np.eye(8)[:3]
    vectors = centres[np.arange(60) % 3] + rng.normal(size=(60, 8))
    vectors[30] = vectors[7]
    vectors[59] = -centres.sum(axis=0)
    names = [f"{'abc'[i % 3]}/{i:02}.png" for i in range(60)]
    names[4] = ODD_NAME
    info = {"model": "/home/me/models/photos/3", "root": str(tmp_path / "gone")}
    np.savez(tmp_path / "e.npz", paths=names, embeddings=vectors.astype("float32"), **info)
    return tmp_path / "e.npz"


class _Elements(html.parser.HTMLParser):
    """Scripts with data by name, tags, and the sources of images."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.tags, self.sources, self._name = {}, [], [], None
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self._name = attributes.get("id") if tag == "script" else None
        if tag == "img":
            self.sources.append(attributes["src"])

    def handle_data(self, data):
        if self._name:
            self.texts[self._name] = data

    def handle_endtag(self, tag):
        self._name = None

    def numbers(self, name, kind):
        return np.frombuffer(base64.b64decode(self.texts[name]), kind)

    @property
    def facts(self):
        return json.loads(self.texts["facts"])


def _map(embeddings, **settings):
    return map_embeddings(MapConfig(embeddings, **settings))


@pytest.mark.parametrize("projection", ["tsne", "pca"])
def test_groups_outliers_and_twins_are_found(embeddings, projection):
    result = _map(embeddings, projection=projection, clusters=4, neighbours=5, threshold=0.9999)
    assert result.page == embeddings.with_name("e_map.html") and result.images == 60
    assert result.outliers[0] == "c/59.png" and result.duplicates == [["b/07.png", "a/30.png"]]
    page = _Elements(result.page)
    places = page.numbers("places", "<f4").reshape(60, 2)
    folder = page.numbers("folder-of", "<u4")
    assert np.abs(places).max() == 1 and page.facts["folders"] == ["a", "b", "c"]
    # Twins fall on the same place; on the map, the nearest image is of the same group.
    others = np.setdiff1d(np.arange(60), [4, 7, 30, 59])
    far = np.linalg.norm(places[others, None] - places[None, others], axis=2)
    np.fill_diagonal(far, 9)
    assert (folder[others][far.argmin(axis=1)] == folder[others]).mean() > 0.9
    cluster = page.numbers("cluster-of", "<u4")
    assert len(set(zip(folder[others], cluster[others]))) == 3  # 59 is a cluster of its own
    neighbours = page.numbers("neighbours-of", "<u4").reshape(60, 5)
    assert neighbours[7, 0] == 30 and neighbours[30, 0] == 7
    assert not (neighbours == np.arange(60)[:, None]).any()
    assert page.numbers("cosines-of", "<f4").reshape(60, 5)[7, 0] == pytest.approx(1, abs=1e-6)
    assert page.facts["groups"] == [[7, 30]] and page.numbers("outliers", "<u4")[0] == 59


def test_the_same_seed_gives_the_same_page(embeddings, tmp_path):
    pages = [_map(embeddings, output=tmp_path / f"{i}.html").page for i in range(2)]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_names_are_text_and_nothing_is_loaded(embeddings):
    page = _map(embeddings).page
    elements = _Elements(page)
    assert elements.facts["names"][4] == ODD_NAME and "img" not in elements.tags
    text = page.read_text()
    assert "://" not in text and ODD_NAME not in text
    assert "photos/3" in text and "/home/me" not in text and str(page.parent) not in text
    scripts = "".join(file.read_text() for file in ASSETS.glob("*.js"))
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(", scripts
    )
    assert {file.name for file in ASSETS.glob("*.js")} == set(
        re.findall(r'"(\w+\.js)"', _source())
    )


def test_a_wheel_has_the_style_and_the_scripts():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["simclr_keras"].split()
    package = ROOT / "simclr_keras"
    packaged = {file for pattern in patterns for file in package.glob(pattern)}
    assert len(set(ASSETS.iterdir())) == 8 and set(ASSETS.iterdir()) <= packaged


def _source():
    return (ROOT / "simclr_keras" / "embeddings" / "map_page.py").read_text()


def test_pictures_come_from_the_folder_only(image_folder, tmp_path, rng):
    shutil.copy(image_folder / "dogs" / "05.png", tmp_path / "private.png")
    names = ["cats/00.png", "dogs/01.png", "../private.png", "cats/gone.png", "cats/02.png"]
    vectors = rng.normal(size=(5, 4)).astype("float32")
    np.savez(tmp_path / "e.npz", paths=names, embeddings=vectors, root=str(image_folder))
    result = _map(tmp_path / "e.npz")
    page = _Elements(result.page)
    drawn = page.numbers("drawn", "<u4")
    assert result.pictures == 3 and set(drawn) == {0, 1, 4}
    (source,) = page.sources
    sheet = tf.io.decode_jpeg(base64.b64decode(source.split(",")[1])).numpy()
    side = page.facts["side"]
    assert sheet.shape == (side, side * page.facts["columns"], 3)
    assert sheet[:, : 3 * side].std() > 20 and sheet[:, 4 * side :].max() < 20
    assert _map(tmp_path / "e.npz", pictures=1).pictures <= 1
    assert _map(tmp_path / "e.npz", pictures=0).pictures == 0


def _names_of_numbers(path):
    np.savez(path, paths=[1, 2], embeddings=np.ones((2, 4)))


@pytest.mark.parametrize("dimension", [1, 2])
def test_vectors_of_few_numbers(tmp_path, rng, dimension):
    vectors = rng.normal(size=(9, dimension))
    np.savez(
        tmp_path / "e.npz", paths=["a\0b", *"bcdefghi"], embeddings=vectors, root=str(tmp_path)
    )
    assert _map(tmp_path / "e.npz").images == 9


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("alike", [False, True])
def test_few_or_equal_images(tmp_path, rng, count, alike):
    vectors = np.ones((count, 4)) if alike else rng.normal(size=(count, 4))
    np.savez(tmp_path / "e.npz", paths=[f"{i}" for i in range(count)], embeddings=vectors)
    result = _map(tmp_path / "e.npz")
    places = _Elements(result.page).numbers("places", "<f4")
    assert np.isfinite(places).all() and result.images == count
    assert [len(group) for group in result.duplicates] == (
        [count] if alike and count > 1 else []
    )


def _vectors_of_nan(path):
    vectors = np.ones((3, 4))
    vectors[1, 2] = np.nan
    np.savez(path, paths=["a", "b", "c"], embeddings=vectors)


def _one_name_too_few(path):
    np.savez(path, paths=["a", "b"], embeddings=np.ones((3, 4)))


def _no_rows(path):
    np.savez(path, paths=np.array([], str), embeddings=np.ones((0, 4)))


def _cut_off(path):
    np.savez(path, paths=["a", "b"], embeddings=np.ones((2, 4)))
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    "damage, text",
    [
        (_vectors_of_nan, "not finite, 1 of 3, for example of b"),
        (_one_name_too_few, "2 names and 3 vectors"),
        (_names_of_numbers, "not all of its names are texts"),
        (_no_rows, "does not hold embeddings"),
        (_cut_off, "does not hold embeddings"),
        (lambda path: None, "There is no file"),
    ],
)
def test_damaged_files_are_said_on_one_line(tmp_path, damage, text):
    damage(tmp_path / "e.npz")
    with pytest.raises(InputError, match=text) as refused:
        _map(tmp_path / "e.npz")
    assert "\n" not in str(refused.value) and not list(tmp_path.glob("*.html"))


def test_umap_is_asked_for_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(RunFailure, match=r'pip install "simclr_keras\[umap\]"'):
        _map(tmp_path / "gone.npz", projection="umap")


def test_the_class_folder_is_that_of_pretrain():
    found = [
        class_folder(n) for n in ("a.jpg", "cats/a.jpg", "train/cats/b/a.jpg", "train/a.jpg")
    ]
    assert found == ["", "cats", "cats", "train"]


@pytest.mark.parametrize("flags", [(), ("--disable-3d-apis",)], ids=["webgl", "canvas-2d"])
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, to run the page's scripts")
def test_the_page_works_in_a_browser(embeddings, tmp_path, flags):
    page = _map(embeddings).page
    probe = """<script>
      addEventListener("error", (event) => document.body.dataset.failed = event.message);
      view.key("ArrowLeft"); view.zoom(3); view.on.pick(7);
      query.value = "b/0"; search();
      const marks = document.body.dataset;
      marks.found = byId("found").querySelectorAll("button").length;
      marks.pinned = byId("image").querySelector(".line .name").textContent;
      marks.odd = (pin(4, true), byId("image").querySelector("h2").textContent);
      marks.images = document.images.length;
      marks.painter = view.points.name;
      view.paint();
      marks.done = "yes";
    </script>"""
    page.write_text(page.read_text().replace("</body>", probe + "</body>"))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]
    command += [f"--user-data-dir={tmp_path / 'profile'}", *flags, f"file://{page}"]
    done = subprocess.run(command, text=True, capture_output=True, timeout=120)
    (body,) = re.findall(r"<body[^>]*>", done.stdout)
    marks = dict(re.findall(r'data-([a-z]+)="([^"]*)"', body))
    assert "failed" not in marks and marks["done"] == "yes", marks
    assert marks["found"] == "2" and marks["images"] == "0"  # b/01 and b/07
    assert marks["odd"].replace("&lt;", "<").replace("&gt;", ">") == ODD_NAME
    assert marks["painter"] == ("Canvas 2D" if flags else "WebGL")
