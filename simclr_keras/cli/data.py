"""The command on data: `check-data`."""

import typer

from ..checks.config import CheckDataConfig
from ..errors import printable
from .options import command_of, print_json, say

_FOUND = 3
_NAMES_SHOWN = 3  # of a group of duplicates


@command_of(CheckDataConfig)
def check_data(config: CheckDataConfig, as_json: bool):
    """Name images that are unreadable, tiny, repeated or odd; exit code 3 if there are any."""
    from ..checks.check_data import check_data as check
    from ..checks.findings import KINDS

    result = check(config)
    images = " and ".join(
        f"{count:,} images{f' in {part}/' if part else ''}"
        for part, count in result.parts.items()
    )
    say(f"{printable(result.dataset)}: {images}; {len(result.findings):,} findings")
    for kind, count in result.counts.items():
        say(f"\n{KINDS[kind]}: {count:,}")
        found = [finding for finding in result.findings if finding.kind == kind]
        for finding in found[: config.shown]:
            names = "  =  ".join(map(printable, finding.names[:_NAMES_SHOWN]))
            more = len(finding.names) - _NAMES_SHOWN
            names += f" and {more:,} more" if more > 0 else ""
            say(f"  {names}  ({printable(finding.note)})")
        if count > config.shown:
            say(f"  ... and {count - config.shown:,} more")
    if result.page:
        say(f"\nPage: {result.page}")
    print_json(as_json, result.to_dict())
    if result.findings:
        raise typer.Exit(_FOUND)
