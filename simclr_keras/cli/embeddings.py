"""The commands on embeddings: `embed`, `search`, `map`, `select`."""

import typer

from ..embeddings.config import EmbedConfig, MapConfig, SearchConfig, SelectConfig
from ..errors import printable
from .options import command_of, print_json, say

_PARTLY_UNREADABLE = 3


@command_of(EmbedConfig)
def embed(config: EmbedConfig, as_json: bool):
    """Compute embeddings of a folder of images; exit code 3 if some could not be read."""
    from ..embeddings.embed import embed as write

    result = write(config)
    say(f"{result.count} embeddings of {result.dimension} numbers: {config.output}")
    for name, why in result.reasons.items():
        say(f"unreadable: {printable(name)} ({why})", err=True)
    print_json(as_json, result.to_dict())
    if result.reasons:
        raise typer.Exit(_PARTLY_UNREADABLE)


@command_of(SearchConfig)
def search(config: SearchConfig, as_json: bool):
    """Find nearest neighbours of images, or near-duplicates; writes text and an HTML page."""
    from ..embeddings.find import search as find

    result = find(config)
    for row in result.rows:
        if not config.duplicates:
            say(printable(row.query))
        for match in row.matches:
            other = f"{row.query}  " if config.duplicates else ""
            say(f"  {match.cosine:.4f}  {printable(other + match.path)}")
    if config.duplicates:
        say(f"{result.pairs} pairs with a cosine of at least {config.threshold:g}")
    say(f"Page: {result.page}")
    print_json(as_json, result.to_dict())


@command_of(MapConfig)
def map_embeddings(config: MapConfig, as_json: bool):
    """Draw a map of the images to explore in a browser; writes one HTML page."""
    from ..embeddings.map import map_embeddings as draw

    result = draw(config)
    say(
        f"{result.images} images, {result.pictures} with a picture, in {result.clusters} clusters; "
        f"{len(result.duplicates)} groups of near-duplicates"
    )
    say(f"Page: {result.page}")
    print_json(as_json, result.to_dict())


@command_of(SelectConfig)
def select(config: SelectConfig, as_json: bool):
    """Choose the images to label next; writes a CSV file to fill in for fine-tune."""
    from ..embeddings.select import select as choose

    result = choose(config)
    say(
        f"{len(result.chosen)} of {result.images} images to label ({result.labelled} are labelled "
        f"already): {result.output}"
    )
    print_json(as_json, result.to_dict())
