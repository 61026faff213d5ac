import numpy as np
import pytest

from simclr_keras import export_encoder, load_exported
from simclr_keras.errors import InputError
from simclr_keras.serving.versions import find_version, new_version, read_metadata


def _write(path, version=None):
    with new_version(path, version) as (unfinished, finished):
        unfinished.mkdir()
        (unfinished / "saved_model.pb").write_bytes(b"")
    return finished[0]


def test_versions_count_up_and_are_never_overwritten(tmp_path):
    names = [_write(tmp_path / "m").name for _ in range(2)]
    names += [_write(tmp_path / "m", 9).name, _write(tmp_path / "m").name]
    assert names == ["1", "2", "9", "10"]
    with pytest.raises(InputError, match="m/9 exists, and versions are never overwritten"):
        _write(tmp_path / "m", 9)


def test_of_two_exports_at_once_each_gets_a_number(tmp_path):
    with new_version(tmp_path / "m", None) as (slow, finished):
        slow.mkdir()
        (slow / "saved_model.pb").write_bytes(b"slow")
        assert _write(tmp_path / "m").name == "1"
    assert finished[0].name == "2" and (finished[0] / "saved_model.pb").read_bytes() == b"slow"
    with pytest.raises(InputError, match="m/7 exists"):
        with new_version(tmp_path / "m", 7) as (slow, finished):
            slow.mkdir()
            _write(tmp_path / "m", 7)
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["1", "2", "7"]


def test_an_unfinished_version_has_no_number(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with new_version(tmp_path / "m", None) as (unfinished, _):
            unfinished.mkdir()
            seen = [p.name for p in (tmp_path / "m").iterdir()]
            raise KeyboardInterrupt
    # The server takes what is a whole number; everything else is not a version to it.
    assert len(seen) == 1 and not seen[0].isdecimal()
    assert list((tmp_path / "m").iterdir()) == []


def test_newest_version_is_loaded(rng, tiny_encoder, tmp_path):
    export_encoder(tiny_encoder, tmp_path / "m", version=9)
    tiny_encoder.layers[1].set_weights([2 * w for w in tiny_encoder.layers[1].get_weights()])
    export_encoder(tiny_encoder, tmp_path / "m", version=10)
    images = rng.random((2, 16, 16, 3)).astype("float32")
    loaded = load_exported(tmp_path / "m")
    np.testing.assert_allclose(loaded(images), tiny_encoder(images, training=False), atol=1e-5)
    assert find_version(tmp_path / "m" / "9") == str(tmp_path / "m" / "9")


def test_what_is_missing_or_damaged_is_said(tmp_path):
    with pytest.raises(InputError, match="no exported model in .*simclr-keras export RUN"):
        find_version(tmp_path)
    version = _write(tmp_path / "m")
    with pytest.raises(InputError, match="m/1/metadata.json is missing"):
        read_metadata(tmp_path / "m")
    (version / "metadata.json").write_text("{")
    with pytest.raises(InputError, match="m/1/metadata.json is damaged"):
        read_metadata(tmp_path / "m")
