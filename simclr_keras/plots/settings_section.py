"""How a run was made: commands, versions, and every setting with its source."""

from collections.abc import Mapping, Sequence

from ..html_page import escaped
from .run_facts import RunFacts

SETTINGS_STYLE = """
.settings { columns: 20rem auto; column-gap: 2.5rem; margin: 0; }
.settings div { display: grid; grid-template-columns: 11.5rem 1fr; gap: .5rem; break-inside: avoid;
  border-bottom: 1px solid var(--line); padding: .2rem 0; }
.settings dd { margin: 0; overflow-wrap: anywhere; } .settings dt { color: var(--muted); }
#commands pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0 1rem; }
#commands p { margin: 0; font-size: 13px; color: var(--muted); max-width: none; }
"""
_VERSIONS = ("version", "tensorflow", "keras", "python", "processor")
_NAMES = {
    "version": "simclr_keras",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "python": "Python",
}


def commands_section(facts: RunFacts) -> str:
    """The commands that made the run and its results, with their dates and versions."""
    return "".join(
        f"<p>{escaped(_line(entry))}</p>"
        f"<pre><code>{escaped(_command(entry, facts))}</code></pre>\n"
        for entry in facts.commands
    )


def _line(entry: Mapping) -> str:
    date = entry.get("date", "").replace("T", " ").replace("+00:00", " UTC")
    versions = [
        f"{_NAMES[name]} {entry[name]}" if name in _NAMES else entry[name]
        for name in _VERSIONS
        if entry.get(name)
    ]
    return f"{entry['measured']}, {date}: {', '.join(versions)}"


def _command(entry: Mapping, facts: RunFacts) -> str:
    if entry.get("command"):
        return entry["command"]
    if entry["measured"] != "pretrain":
        return f"# {entry['measured']}: called from Python"
    given = {
        name: value
        for name, value in facts.settings.items()
        if name in ("dataset", "run_dir") or facts.sources.get(name)
    }
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return f"sk.pretrain(sk.PretrainConfig({arguments}))"


def settings_section(facts: RunFacts) -> str:
    """Every setting of pretraining with its value and where that comes from."""
    chosen = [name for name in facts.settings if facts.sources.get(name)]
    others = [name for name in facts.settings if name not in chosen]
    return (
        f"{_list(facts, chosen)}<details><summary>{len(others)} settings with their defaults"
        f"</summary>\n{_list(facts, others)}</details>\n"
    )


def _list(facts: RunFacts, names: Sequence[str]) -> str:
    rows = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(_text(facts.settings[name]))} "
        f'<span class="muted">{escaped(facts.sources.get(name, "default"))}</span></dd></div>\n'
        for name in names
    )
    return f'<dl class="settings">{rows}</dl>\n'


def _text(value) -> str:
    if value is None or isinstance(value, bool):
        return {None: "\u2013", True: "yes", False: "no"}[value]
    return str(value)
