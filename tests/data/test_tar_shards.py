import io
import json
import tarfile

import pytest
from prepared import jpeg
from shards import samples, write_tar

from simclr_keras.data.tar_shards import index_tar, tar_name
from simclr_keras.errors import InputError

COUNT = 7


@pytest.fixture
def images():
    return [jpeg(number) for number in range(COUNT)]


@pytest.fixture
def file(images, tmp_path):
    write_tar(tmp_path / "a.tar", samples(images, range(COUNT)))
    return str(tmp_path / "a.tar")


def _read(file, shard):
    content = open(file, "rb").read()
    return [content[o : o + n] for o, n in zip(shard.offset, shard.length)]


def test_images_and_labels(file, images):
    shard = index_tar(file)
    assert _read(file, shard) == images and not shard.damage
    assert shard.label.tolist() == list(range(COUNT))
    assert tar_name(file, int(shard.offset[3])) == "a.tar, 000003.jpg"


def test_what_webdataset_allows(images, tmp_path):
    """Labels before images and in JSON, two images of an example, other members, folders."""
    long = "n" * 150
    members = [
        ("a/1.cls", b"3\n"),
        ("a/1.jpg", images[0]),
        ("a/1.txt", b"a caption"),
        ("b/1.left.JPEG", images[1]),
        ("b/1.right.png", images[2]),
        ("b/1.json", json.dumps({"caption": "x", "label": 5}).encode()),
        ("2.json", b'{"label": "text", "cls": 6}'),
        ("2.jpg", images[3]),
        ("3.jpg", images[4]),
        ("3.json", b"no JSON"),
        ("4.cls", b"cat"),
        ("4.jpg", images[5]),
        (f"{long}.jpg", images[6]),
        (f"{long}.cls", b"8"),
    ]
    file = tmp_path / "a.tar"
    write_tar(file, members)
    shard = index_tar(str(file))
    assert _read(file, shard) == images
    assert shard.label.tolist() == [3, 5, 5, 6, -1, -1, 8]


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_other_formats_of_tar(images, tmp_path, tar_format):
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w", format=tar_format) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        member = tarfile.TarInfo("folder/1.jpg")
        member.size = len(images[0])
        archive.addfile(member, io.BytesIO(images[0]))
    assert _read(file, index_tar(str(file))) == images[:1]


def test_images_that_cannot_be_decoded(images, tmp_path):
    images[2], images[4] = images[2][:-30], b""
    write_tar(tmp_path / "a.tar", samples(images, range(COUNT)))
    shard = index_tar(str(tmp_path / "a.tar"))
    assert sorted(shard.damage) == [2, 4]
    assert shard.damage[2].startswith("000002.jpg (damaged, truncated")
    assert shard.damage[4] == "000004.jpg (not a JPEG, PNG, GIF, BMP or WebP image)"
    assert (shard.length >= 0).tolist() == [k not in (2, 4) for k in range(COUNT)]
    assert shard.label.tolist() == list(range(COUNT))


def test_a_file_that_is_cut_off(file):
    whole = index_tar(file)
    with open(file, "r+b") as stream:
        stream.truncate(int(whole.offset[5]) + 20)
    shard = index_tar(file)
    assert shard.damage == {5: "000005.jpg (cut off)"} and len(shard.offset) == 6
    with open(file, "r+b") as stream:
        stream.truncate(int(whole.offset[4]) - 200)  # in a header
    shard = index_tar(file)
    assert list(shard.damage) == [4]
    assert shard.damage[4].startswith("what follows 000003.cls (")


def test_a_damaged_header_is_noticed(file):
    whole = index_tar(file)
    with open(file, "r+b") as stream:
        stream.seek(int(whole.offset[2]) - 400)
        stream.write(b"damage" * 5)
    shard = index_tar(file)
    assert shard.damage == {2: "what follows 000001.cls (bad header)"}
    assert shard.offset[:2].tolist() == whole.offset[:2].tolist()


def test_compressed_and_other_files(images, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    with pytest.raises(InputError, match="a.tar is compressed. Expected plain tar files"):
        index_tar(str(tmp_path / "a.tar"))
    (tmp_path / "b.tar").write_bytes(b"no tar file" * 100)
    assert list(index_tar(str(tmp_path / "b.tar")).damage) == [0]
    (tmp_path / "c.tar").write_bytes(b"")
    write_tar(tmp_path / "d.tar", [])
    shard = index_tar(str(tmp_path / "d.tar"))
    assert len(shard.offset) == 0 and not shard.damage
