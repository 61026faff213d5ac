"""`write_report_page`: the page of a run, one HTML file that needs nothing else."""

import dataclasses
import os
import pathlib
from collections.abc import Callable

from ..html_page import escaped, html_page
from .confusion import CONFUSION_STYLE
from .curves_section import curves_section
from .evaluation_sections import accuracy_section, classifiers_section, few_labels_section
from .histogram import HISTOGRAM_STYLE
from .line_chart import CHART_SCRIPT, CHART_STYLE
from .picture_sections import (
    PICTURE_STYLE,
    draws_section,
    map_section,
    neighbours_section,
    views_section,
)
from .run_facts import RunFacts
from .scatter import SCATTER_SCRIPT, SCATTER_STYLE
from .settings_section import SETTINGS_STYLE, commands_section, settings_section
from .summary_section import SUMMARY_STYLE, summary_section
from .svg import SVG_STYLE

_SECTIONS: dict[str, tuple[str, Callable[[RunFacts], str]]] = {
    "summary": ("Summary", summary_section),
    "accuracy": ("Accuracy", accuracy_section),
    "few-labels": ("Few labels", few_labels_section),
    "classifiers": ("Classifiers", classifiers_section),
    "curves": ("Training", curves_section),
    "neighbours": ("Nearest neighbours", neighbours_section),
    "map": ("Map of the features", map_section),
    "views": ("Views", views_section),
    "draws": ("What was drawn at random", draws_section),
    "commands": ("Commands", commands_section),
    "settings": ("Settings", settings_section),
}
# The facts of a section that the summary shows too.
_SUMMARISED = {
    "accuracy": ("evaluation",),
    "few-labels": ("evaluation",),
    "classifiers": ("classifiers",),
    "curves": ("history", "measurements"),
}
# What files may lead to that other programs wrote, or people edited.
_DAMAGED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError)
_STYLE = """
body { max-width: 72rem; }
h1 { overflow-wrap: anywhere; }
h2 { margin-top: 2.2rem; padding-top: .4rem; border-top: 1px solid var(--line); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: 14px; }
nav a { color: inherit; }
p { max-width: 46rem; }
.charts.large { grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
details { margin: .75rem 0; } summary { cursor: pointer; }
"""


def write_report_page(path: str | os.PathLike, facts: RunFacts) -> list[str]:
    """Writes the page whole or not at all.

    Args:
        path: The `.html` file; its folder is created.
        facts: What is known of the run. A section without its facts is left out, and one whose
            facts are damaged says so.

    Returns:
        What could not be shown, a line each.
    """
    sections, problems = {}, list(facts.problems)
    for name, (title, section) in reversed(_SECTIONS.items()):
        try:
            sections[name] = section(facts)
        except _DAMAGED as error:
            problems.append(
                f"The section {title!r} is left out: what it shows is damaged "
                f"({type(error).__name__}: {error})."
            )
            # The summary, which comes last, then does without.
            empty = {fact: type(getattr(facts, fact))() for fact in _SUMMARISED.get(name, ())}
            facts = dataclasses.replace(facts, **empty)
    shown = {name: sections[name] for name in _SECTIONS if sections.get(name)}
    style = (
        SVG_STYLE, CHART_STYLE, HISTOGRAM_STYLE, SCATTER_STYLE, CONFUSION_STYLE, SUMMARY_STYLE,
        PICTURE_STYLE, SETTINGS_STYLE, _STYLE,
    )  # fmt: skip
    title = f"{pathlib.PurePath(facts.run).name}: a simclr_keras run"
    with html_page(path, title, "".join(style)) as page:
        links = (f'<a href="#{name}">{_SECTIONS[name][0]}</a>' for name in shown)
        page.write(f"<nav>{' '.join(links)}</nav>\n")
        page.write("".join(f'<p class="finding">{escaped(p)}</p>\n' for p in problems))
        for name, text in shown.items():
            page.write(
                f'<section id="{name}">\n<h2>{_SECTIONS[name][0]}</h2>\n{text}</section>\n'
            )
        page.write(f"<script>{CHART_SCRIPT}{SCATTER_SCRIPT}</script>\n")
    return problems
