import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import export_encoder
from simclr_keras.embeddings import find
from simclr_keras.embeddings.config import EmbedConfig, SearchConfig
from simclr_keras.embeddings.embed import embed
from simclr_keras.embeddings.file import read_info, read_vectors
from simclr_keras.embeddings.find import search
from simclr_keras.errors import InputError
from simclr_keras.evaluation.nearest import nearest


def find_neighbours(embeddings, queries, neighbours=10, **settings):
    return search(SearchConfig(embeddings, queries, neighbours, **settings)).to_dict()


def find_duplicates(embeddings, **settings):
    return search(SearchConfig(embeddings, duplicates=True, **settings)).to_dict()


@pytest.fixture(params=[".npz", ".parquet"])
def embeddings(request, tiny_encoder, image_folder, tmp_path):
    shutil.copy(image_folder / "cats" / "00.png", image_folder / "dogs" / "copy.png")
    model = export_encoder(tiny_encoder, tmp_path / "tiny")
    output = tmp_path / f"e{request.param}"
    embed(EmbedConfig(model, image_folder, output))
    return output


def test_neighbours_of_an_image_of_the_file(embeddings):
    result = find_neighbours(embeddings, ["cats/00.png", "dogs/03.png"], 3)
    first, second = result["rows"]
    assert first["query"] == "cats/00.png" and len(first["matches"]) == 3
    assert first["matches"][0] == {
        "path": "dogs/copy.png",
        "cosine": pytest.approx(1, abs=1e-6),
    }
    for row in result["rows"]:
        assert row["query"] not in [match["path"] for match in row["matches"]]
    page = embeddings.parent / "e_neighbours.html"
    assert result["page"] == str(page) and page.read_text().count("<img") == 2 * 4
    assert second["matches"][0]["cosine"] >= second["matches"][1]["cosine"]


def test_a_new_image_is_embedded_by_the_files_model(embeddings, image_folder, tmp_path):
    query = tmp_path / "new.png"
    shutil.copy(image_folder / "dogs" / "05.png", query)
    page = tmp_path / "p" / "page.html"
    result = find_neighbours(embeddings, [str(query)], 2, page=page)
    (row,) = result["rows"]
    assert row["matches"][0] == {"path": "dogs/05.png", "cosine": pytest.approx(1, abs=1e-6)}
    assert page.read_text().count("<img") == 3


def test_a_model_is_not_loaded_because_a_file_names_it(
    embeddings, image_folder, tmp_path, monkeypatch
):
    query = str(image_folder / "dogs" / "05.png")
    info = read_info(embeddings)
    foreign = tmp_path / "foreign.npz"
    parts = {"paths": info.paths, "embeddings": read_vectors(embeddings), "model": info.model}
    np.savez(foreign, **parts, signature="0" * 64)
    np.savez(tmp_path / "moved.npz", **{**parts, "model": str(tmp_path / "gone" / "1")})
    monkeypatch.setattr(find, "embed", lambda config: pytest.fail("a model was loaded"))
    for file in (foreign, tmp_path / "moved.npz"):
        with pytest.raises(InputError, match="name it with `model` if you trust it"):
            find_neighbours(file, [query])
    graph = pathlib.Path(info.model) / "saved_model.pb"
    with monkeypatch.context() as patch:  # another user
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
        with pytest.raises(InputError, match="is a program"):
            find_neighbours(embeddings, [query])
    graph.write_bytes(graph.read_bytes() + b" ")
    with pytest.raises(InputError, match="not with the model as it is now"):
        find_neighbours(embeddings, [query])
    asked = []
    monkeypatch.setattr(find, "embed", lambda config: asked.append(config.model) or Embedded())
    find_neighbours(foreign, [query], model="the one I trust")
    assert asked == ["the one I trust"]


class Embedded:
    reasons: dict = {}
    embeddings = np.ones((1, 8), "float32")


@pytest.mark.parametrize(
    "vectors, paths, message",
    [
        ([[1.0, np.nan], [1.0, 0.0]], ["a", "b"], "Vectors must be finite"),
        (np.zeros((0, 2)), [], "0 names and 0 vectors"),
        (np.ones((3, 2)), ["a", "b"], "2 names and 3 vectors"),
    ],
)
@pytest.mark.parametrize("asked", [{"queries": ["a"]}, {"duplicates": True}])
def test_vectors_that_cannot_be_searched(tmp_path, vectors, paths, message, asked):
    file = tmp_path / "e.npz"
    np.savez(file, paths=np.array(paths, str), embeddings=np.array(vectors, "float32"))
    with pytest.raises(InputError, match=f"{file}.*{message}"):
        search(SearchConfig(file, **asked))


def test_a_model_of_another_dimension_is_said(embeddings, image_folder, monkeypatch):
    monkeypatch.setattr(Embedded, "embeddings", np.ones((1, 5), "float32"))
    monkeypatch.setattr(find, "embed", lambda config: Embedded())
    new = str(image_folder / "dogs" / "05.png")
    for queries in ([new], [new, "cats/00.png"]):
        with pytest.raises(InputError, match="a model must make vectors of the same dimension"):
            find_neighbours(embeddings, queries, model="other")


def test_a_page_that_cannot_be_written_is_noticed_first(embeddings, tmp_path, monkeypatch):
    monkeypatch.setattr(find, "read_blocks", lambda *a: pytest.fail("it was searched"))
    with pytest.raises(InputError, match="`page` cannot be written: it is a folder"):
        find_neighbours(embeddings, ["cats/00.png"], page=tmp_path)


def test_duplicates_of_a_folder(embeddings):
    result = find_duplicates(embeddings, threshold=0.999999)
    assert result["pairs"] == 1
    (row,) = result["rows"]
    assert row["query"] == "cats/00.png" and row["matches"][0]["path"] == "dogs/copy.png"
    assert (embeddings.parent / "e_duplicates.html").read_text().count("<img") == 2
    assert find_duplicates(embeddings, threshold=-0.99)["pairs"] == 13 * 12 // 2


def test_pictures_that_are_gone_are_left_out(embeddings, image_folder, tmp_path):
    shutil.move(image_folder, tmp_path / "moved")
    page = find_neighbours(embeddings, ["cats/00.png"], 2)["page"]
    assert open(page).read().count("no picture") == 3
    page = find_neighbours(embeddings, ["cats/00.png"], 2, images=tmp_path / "moved")["page"]
    assert open(page).read().count("<img") == 3


def test_names_in_a_file_do_not_lead_outside_its_folder(image_folder, tmp_path, caplog):
    outside = tmp_path / "private.png"
    shutil.copy(image_folder / "dogs" / "05.png", outside)
    os.mkfifo(image_folder / "dogs" / "pipe.png")
    names = ["cats/00.png", "../private.png", str(outside), "dogs/pipe.png"]
    vectors = np.eye(4, dtype="float32") + 1
    np.savez(tmp_path / "e.npz", paths=names, embeddings=vectors, root=str(image_folder))
    result = find_neighbours(tmp_path / "e.npz", ["cats/00.png"], 3)
    assert len(result["rows"][0]["matches"]) == 3
    page = tmp_path / "e_neighbours.html"
    assert page.read_text().count("<img") == 1
    (warning,) = caplog.messages
    assert f"outside {image_folder}" in warning and "`images`" in warning
    find_neighbours(tmp_path / "e.npz", ["cats/00.png"], 3, images=str(tmp_path))
    find_neighbours(tmp_path / "e.npz", [names[2]], 1, images=str(tmp_path))
    assert page.read_text().count("<img") == 1  # the one that was asked for by its name


def test_what_cannot_be_searched_is_said(embeddings, tmp_path):
    with pytest.raises(
        InputError, match=r"There is no image gone.png, neither .* the 13 names"
    ):
        find_neighbours(embeddings, ["gone.png"])
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="The query .*bad.png cannot be read|None of the 1"):
        find_neighbours(embeddings, [str(tmp_path / "bad.png")])
    with pytest.raises(InputError, match="Received: threshold=2"):
        find_duplicates(embeddings, threshold=2)
    np.savez(tmp_path / "foreign.npz", paths=["a"], embeddings=np.ones((1, 8)))
    tf.io.write_file(str(tmp_path / "q.png"), tf.io.encode_png(tf.zeros((4, 4, 3), tf.uint8)))
    with pytest.raises(InputError, match="foreign.npz names no model. Name one with `model`"):
        find_neighbours(tmp_path / "foreign.npz", [str(tmp_path / "q.png")])
    assert not list(tmp_path.glob("*.html"))


def test_a_name_of_a_later_block_is_found(tmp_path, rng):
    vectors = rng.normal(size=(20_000, 4)).astype("float32")
    names = [str(i) for i in range(len(vectors))]
    np.savez(tmp_path / "e.npz", paths=names, embeddings=vectors)
    (row,) = find_neighbours(tmp_path / "e.npz", ["19999"], 3)["rows"]
    expected = nearest(vectors[-1:], vectors[:-1], 3)
    assert [match["path"] for match in row["matches"]] == [names[i] for i in expected[0][0]]
