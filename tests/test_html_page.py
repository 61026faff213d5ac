import html.parser
import json

import pytest

from simclr_keras.html_page import data_uri, embedded_json, html_page


class _Elements(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.attributes = [""], {}, [{}]
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append(dict(attributes))

    def handle_data(self, data):
        self.texts.setdefault(self.tags[-1], data)


def test_a_page(tmp_path):
    with html_page(tmp_path / "deep" / "p.html", "<b> & co", "b { color: red }") as page:
        page.write("<p>body</p>")
    read = _Elements((tmp_path / "deep" / "p.html").read_text(encoding="utf-8"))
    assert "b" not in read.tags and read.texts["title"] == read.texts["h1"] == "<b> & co"
    assert read.texts["p"] == "body" and read.texts["style"].endswith("b { color: red }")
    (policy,) = (a["content"] for a in read.attributes if "http-equiv" in a)
    assert policy.startswith("default-src 'none';") and "http" not in policy


def test_an_error_leaves_the_former_page(tmp_path):
    path = tmp_path / "p.html"
    path.write_text("former")
    with pytest.raises(OSError, match="disk full"), html_page(path, "t"):
        raise OSError("disk full")
    assert path.read_text() == "former" and [p.name for p in tmp_path.iterdir()] == ["p.html"]


def test_data_cannot_end_its_script():
    value = {"name": "</script><b>", "list": [1, None, "ä"]}
    read = _Elements(embedded_json("points", value))
    assert read.tags[1:] == ["script"] and read.attributes[1:] == [
        {"type": "application/json", "id": "points"}
    ]
    assert json.loads(read.texts["script"]) == value


def test_data_uri():
    assert data_uri(b"\xff\xd8") == "data:image/jpeg;base64,/9g="
    assert data_uri(b"a", "text/csv") == "data:text/csv;base64,YQ=="
