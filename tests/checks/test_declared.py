import io

import pytest
from PIL import Image
from zoo import all_odd, encode

from simclr_keras.checks.declared import Declared, declared, other_format

KINDS = {"L": "gray", "LA": "gray with alpha", "RGB": "RGB", "RGBA": "RGB with alpha"}


def test_it_is_what_pillow_reads():
    """Of every file of the zoo that Pillow opens, sizes and channels."""
    compared = 0
    for odd in all_odd():
        if not isinstance(odd.content, bytes) or "bomb" in odd.name or "runs" in odd.name:
            continue
        try:
            image = Image.open(io.BytesIO(odd.content))
            orientation = image.getexif().get(0x0112, 1)
        except OSError:
            continue
        if image.format not in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
            continue
        found = declared(odd.content)
        assert (found.width, found.height) == image.size, odd.name
        assert found.orientation == orientation, odd.name
        if image.format in ("JPEG", "WEBP") and image.mode in KINDS:
            assert found.kind == KINDS[image.mode], odd.name
        compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    "mode, kind",
    [*KINDS.items(), ("P", "palette"), ("1", "gray, 1 bit"), ("I;16", "gray, 16 bit")],
)
def test_kinds_of_pngs(mode, kind):
    stream = io.BytesIO()
    Image.new(mode, (4, 3)).save(stream, "PNG")
    assert declared(stream.getvalue()) == Declared(3, 4, kind)


def test_cut_off_or_nonsense_is_none():
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        content = encode(kind)
        assert declared(content[:5]) is None
        assert declared(content).width == 40
    assert declared(b"") is None and declared(b"no image") is None
    assert declared(b"\xff\xd8\xff" + bytes(50)) is None


def test_other_formats_have_names():
    assert other_format(encode("TIFF")) == "a TIFF" and other_format(encode("PNG")) is None
    assert other_format(encode("AVIF")) == "an AVIF"
