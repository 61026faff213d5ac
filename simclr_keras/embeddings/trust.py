"""Which model `search` may load because a file names it: a SavedModel is a program."""

import hashlib
import hmac
import os
import pathlib
import secrets

from .. import stores
from ..files import whole_file

_KEY_BYTES = 32


def sign(model: str | os.PathLike) -> str:
    """A signature of a model for the file that it made; empty if there is no place for a key.

    It says that `embed` of this user ran this model: the key never leaves the user's folder of
    settings.

    Args:
        model: The folder of a version.
    """
    try:
        return _signature(_key(), model)
    except OSError:  # a home folder that cannot be written to
        return ""


def is_signed(model: str | os.PathLike, signature: str) -> bool:
    """Whether `sign` made a signature here, for the model as it is now."""
    file = _key_file()
    if not signature or not file.is_file():
        return False
    try:
        return hmac.compare_digest(_signature(file.read_bytes(), model), str(signature))
    except (OSError, TypeError):  # there is no such model; or no signature is written like this
        return False


def _signature(key: bytes, model: str | os.PathLike) -> str:
    folder = stores.absolute(model)
    with stores.open_file(stores.join(folder, "saved_model.pb")) as stream:
        graph = hashlib.sha256(stream.read()).digest()
    return hmac.new(key, os.fsencode(folder) + b"\0" + graph, hashlib.sha256).hexdigest()


def _key() -> bytes:
    file = _key_file()
    if not file.is_file():
        with whole_file(file) as unfinished:
            unfinished.touch(mode=0o600)
            unfinished.write_bytes(secrets.token_bytes(_KEY_BYTES))
    return file.read_bytes()


def _key_file() -> pathlib.Path:
    settings = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return pathlib.Path(settings) / "simclr_keras" / "key"
