import base64
import html.parser

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.embeddings.page import write_page
from simclr_keras.embeddings.pictures import encode_picture


class _Images(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.images, self.text = [], []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_holds_its_pictures(tmp_path):
    red = encode_picture(tf.constant(np.full((16, 16, 3), (1.0, 0, 0), "float32")))
    rows = [[("<b>&.png", "", red), ("other.png", "0.987", None)], []]
    path = write_page(tmp_path / "deep" / "p.html", "A & B", rows, "two")
    page = _Images()
    page.feed(path.read_text(encoding="utf-8"))
    (image,) = page.images
    assert image["alt"] == "<b>&.png"  # a name cannot become markup
    kind, data = image["src"].split(",")
    assert kind == "data:image/jpeg;base64"
    pixels = tf.io.decode_jpeg(base64.b64decode(data)).numpy()
    assert (
        pixels.shape == (16, 16, 3) and pixels[..., 0].min() > 240 > 20 > pixels[..., 1].max()
    )
    assert "0.987" in page.text and "no picture" in page.text and "A & B" in page.text
    assert "://" not in path.read_text()  # nothing beside it is needed
    assert [p.name for p in path.parent.iterdir()] == ["p.html"]


def test_gray_is_shown_as_gray():
    shown = tf.io.decode_jpeg(encode_picture(tf.fill([8, 8, 1], 0.5)))
    assert shown.shape == (8, 8, 1) and abs(int(shown[0, 0, 0]) - 128) <= 2


def test_an_error_leaves_the_former_page(tmp_path):
    (tmp_path / "p.html").write_text("former")

    def rows():
        yield [("a", "", None)]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_page(tmp_path / "p.html", "t", rows())
    assert [p.name for p in tmp_path.iterdir()] == ["p.html"]
    assert (tmp_path / "p.html").read_text() == "former"
