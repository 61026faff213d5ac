"""The tables of docs/presets.md, from the data: `python tests/presets_page.py` writes them."""

import pathlib

from simclr_keras.runs.presets import AUGMENTATIONS, PRESETS, NamedSettings

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "presets.md"
BEGIN, END = (
    "<!-- tables of {}, from simclr_keras/runs/presets.py -->",
    "<!-- end of tables -->",
)
KINDS = {"presets": PRESETS, "augmentations": AUGMENTATIONS}


def tables(named: dict[str, NamedSettings]) -> str:
    """A heading, the summary, a table and the notes of each."""
    parts = []
    for each in named.values():
        rows = [
            f"| `{name}` | {_text(value)} | {source} |"
            for name, (value, source) in each.sourced.items()
        ]
        table = ["| setting | value | from |", "|---|---|---|", *rows]
        parts += [f"### `{each.name}`", each.summary, "\n".join(table), each.notes]
    return "\n\n".join(parts)


def page(text: str) -> str:
    """The page with its tables replaced by those of the data."""
    for kind, named in KINDS.items():
        begin = BEGIN.format(kind)
        before, rest = text.split(begin)
        _, after = rest.split(END, 1)
        text = f"{before}{begin}\n\n{tables(named)}\n\n{END}{after}"
    return text


def _text(value) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
