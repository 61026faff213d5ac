import numpy as np
import pytest

from simclr_keras import export_encoder
from simclr_keras.data.images import decode_image, resize_and_center_crop
from simclr_keras.errors import InputError
from simclr_keras.serving.embed import embed_images


@pytest.fixture
def model(tiny_encoder, tmp_path):
    return export_encoder(tiny_encoder, tmp_path / "tiny")


def test_paths_and_vectors_belong_together(tiny_encoder, model, image_folder, tmp_path):
    seen = []
    output = tmp_path / "e.npz"
    embed_images(model, image_folder, output, batch_size=5, progress=lambda *p: seen.append(p))
    saved = np.load(output)
    assert len(saved["paths"]) == 12 and seen[-1] == (12, 12)
    for path, vector in zip(saved["paths"], saved["embeddings"]):
        image = decode_image((image_folder / str(path)).read_bytes())
        expected = tiny_encoder(resize_and_center_crop(image, 16)[None], training=False)[0]
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_parquet_holds_the_same(model, image_folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    result = embed_images(model, image_folder, tmp_path / "e.parquet")
    table = parquet.read_table(tmp_path / "e.parquet").to_pydict()
    assert table["path"] == result.paths
    np.testing.assert_array_equal(np.array(table["embedding"], "float32"), result.embeddings)


def test_unreadable_images_are_named_and_the_others_embedded(model, image_folder, tmp_path):
    (image_folder / "cats" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    result = embed_images(model, image_folder, tmp_path / "e.npz")
    assert result.unreadable == ["cats/broken.jpg"] and len(result.paths) == 12
    assert np.load(tmp_path / "e.npz")["unreadable"].tolist() == ["cats/broken.jpg"]


def test_nothing_readable_writes_nothing(model, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    with pytest.raises(InputError, match="no images in"):
        embed_images(model, folder, tmp_path / "e.npz")
    (folder / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="None of the 1 images could be read"):
        embed_images(model, folder, tmp_path / "e.npz")
    assert not list(tmp_path.glob("*.npz"))


def test_other_file_types_are_refused(model, image_folder, tmp_path):
    with pytest.raises(InputError, match=r"must end in .npz or .parquet. Received: .*e.csv"):
        embed_images(model, image_folder, tmp_path / "e.csv")


def test_a_single_image(model, image_folder, tmp_path):
    result = embed_images(model, image_folder / "cats" / "00.png", tmp_path / "e.npz")
    assert result.paths == ["00.png"] and result.embeddings.shape == (1, 8)
