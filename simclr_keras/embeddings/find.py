"""`search`: finds neighbours of images, or near-duplicates, and writes a page of pictures."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np

from .. import stores
from ..errors import InputError
from ..evaluation.nearest import nearest
from ..files import check_can_be_written
from ..local_copies import file_here, with_local_copies
from ..result import Result
from .config import EmbedConfig, SearchConfig
from .duplicates import near_duplicates
from .embed import embed
from .file import EmbeddingsInfo, read_blocks, read_info, read_rows, read_vectors
from .page import write_page
from .pictures import Pictures
from .trust import is_signed

_LOGGER = logging.getLogger("simclr_keras")
_PAGE_PAIRS = 200  # most similar pairs shown on a page
_MOST_PAIRS = 100_000


@dataclasses.dataclass(frozen=True)
class Match(Result):
    """An image that was found.

    Attributes:
        path: Its name among the embeddings.
        cosine: Cosine similarity to the query.
    """

    path: str
    cosine: float


@dataclasses.dataclass(frozen=True)
class SearchRow(Result):
    """What was found for one query.

    Attributes:
        query: The query; the first image of a pair of near-duplicates.
        matches: The nearest first; the second image of a pair of near-duplicates.
    """

    query: str
    matches: list[Match]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult(Result):
    """What `search` found.

    Attributes:
        rows: One for each query, or for each pair of near-duplicates.
        pairs: The number of pairs, if near-duplicates were searched for.
        page: The page of pictures.
    """

    rows: list[SearchRow]
    pairs: int | None = None
    page: pathlib.Path


@with_local_copies
def search(config: SearchConfig) -> SearchResult:
    """The nearest embedded images of each query, or pairs of near-duplicates.

    The search is exact, by cosine similarity. The results are also shown on a page of pictures.

    Args:
        config: The settings.

    Returns:
        A `SearchResult`.

    Raises:
        InputError: If a file is missing or cannot be read.

    Example:
        >>> import simclr_keras as sk
        >>> model = sk.export(sk.ExportConfig("runs/digits", output="saved_models/digits"))
        >>> embedded = sk.embed(sk.EmbedConfig(model, "digits", split="test", output="e.npz"))
        >>> found = sk.search(sk.SearchConfig("e.npz", embedded.paths[:1], neighbours=3))
        >>> found.rows[0].query, len(found.rows[0].matches)
        ('digits/test/0', 3)

    Reference:
        Johnson, Douze & Jegou 2017, "Billion-scale similarity search with GPUs",
        https://arxiv.org/abs/1702.08734, Section 2: exact search.
    """
    return _duplicates(config) if config.duplicates else _neighbours(config)


def _neighbours(config: SearchConfig) -> SearchResult:
    embeddings, queries = config.embeddings, config.queries or []
    info = read_info(embeddings)
    asked = set(queries)
    place_of = {path: place for place, path in enumerate(info.paths) if path in asked}
    known = [place_of.get(query) for query in queries]
    output = _page(config, "neighbours")
    vectors = _query_vectors(config, info, known)
    with _explained(embeddings):
        places, cosines = nearest(
            np.stack(vectors), read_blocks(embeddings), config.neighbours + 1
        )
    rows: list[SearchRow] = []
    pictures = Pictures(info, config.images)
    for query, itself, found, similar in zip(queries, known, places, cosines):
        matches = [(p, c) for p, c in zip(found, similar) if p != itself][: config.neighbours]
        rows.append(SearchRow(query, [Match(info.paths[p], float(c)) for p, c in matches]))
    page = write_page(
        output,
        "Nearest neighbours",
        (
            [
                (row.query, "", pictures.thumbnail(row.query, itself is None)),
                *((m.path, f"{m.cosine:.4f}", pictures.thumbnail(m.path)) for m in row.matches),
            ]
            for row, itself in zip(rows, known)
        ),
        f"Cosine similarity among {len(info.paths)} embeddings of {info.model or embeddings}",
    )
    return SearchResult(rows=rows, page=page)


def _duplicates(config: SearchConfig) -> SearchResult:
    embeddings, threshold = config.embeddings, config.threshold
    info = read_info(embeddings)
    output = _page(config, "duplicates")
    with _explained(embeddings):
        pairs, cosines = near_duplicates(read_vectors(embeddings), threshold, _MOST_PAIRS)
    if len(pairs) == _MOST_PAIRS:
        _LOGGER.warning(
            "Only the %d most similar pairs are kept. Raise `threshold` to find fewer.",
            _MOST_PAIRS,
        )
    rows = [
        SearchRow(info.paths[a], [Match(info.paths[b], float(cosine))])
        for (a, b), cosine in zip(pairs, cosines)
    ]
    pictures = Pictures(info, config.images)
    page = write_page(
        output,
        "Near-duplicates",
        (
            [
                (
                    name,
                    f"{row.matches[0].cosine:.4f}" if place else "",
                    pictures.thumbnail(name),
                )
                for place, name in enumerate((row.query, row.matches[0].path))
            ]
            for row in rows[:_PAGE_PAIRS]
        ),
        f"{len(rows)} pairs with a cosine similarity of at least {threshold:g} among "
        f"{len(info.paths)} images, the most similar first"
        + (f"; the first {_PAGE_PAIRS} are shown" if len(rows) > _PAGE_PAIRS else ""),
    )
    return SearchResult(rows=rows, pairs=len(rows), page=page)


def _query_vectors(config: SearchConfig, info: EmbeddingsInfo, known) -> list[np.ndarray]:
    """M of float32 `(D,)`: rows of the file, and new images embedded with its model."""
    embeddings, queries = config.embeddings, config.queries or []
    vectors: list = [None] * len(queries)
    rows = [row for row, place in enumerate(known) if place is not None]
    if rows:
        for row, vector in zip(rows, read_rows(embeddings, [known[row] for row in rows])):
            vectors[row] = vector
    new = [row for row, place in enumerate(known) if place is None]
    if new:
        for row in new:
            if not stores.has_file(queries[row]):
                raise InputError(
                    f"There is no image {queries[row]}, neither as a file nor among the "
                    f"{len(info.paths)} names in {embeddings}, such as {info.paths[0]}."
                )
        model = config.model or _trusted_model(embeddings, info)
        with tempfile.TemporaryDirectory() as folder:
            files = [queries[row] for row in new]
            output = os.path.join(folder, "queries.npz")
            result = embed(EmbedConfig(model, files, output=output))
            if result.reasons:
                name, why = next(iter(result.reasons.items()))
                raise InputError(f"The query {name} cannot be read: {why}.")
            for row, vector in zip(new, result.embeddings):
                vectors[row] = vector
    return vectors


def _trusted_model(embeddings: str | os.PathLike, info: EmbeddingsInfo) -> str:
    """The model that a file names, if the file was made here with it."""
    if not info.model:
        raise InputError(f"{embeddings} names no model. Name one with `model`.")
    if not is_signed(info.model, info.signature):
        raise InputError(
            f"{embeddings} names the model {info.model}, but `embed` did not write the file here, or "
            "not with the model as it is now. A model is a program: name it with `model` if you "
            "trust it."
        )
    return info.model


@contextlib.contextmanager
def _explained(embeddings: str | os.PathLike) -> Iterator[None]:
    """Context in which vectors that cannot be compared are an `InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"{embeddings} cannot be searched: {error}. It must hold finite vectors, and a model "
            "must make vectors of the same dimension."
        ) from error


def _page(config: SearchConfig, what: str) -> pathlib.Path:
    """The page to write, which can be written: by default beside the embeddings."""
    beside = file_here(config.embeddings)
    page = beside.with_name(f"{beside.stem}_{what}.html")
    if config.page:
        page = file_here(config.page, get=False)
    check_can_be_written(page, "`page`")
    return page
