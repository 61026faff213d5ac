"""`diagnose`: what is wrong with a run, from what was measured so far, in words.

Thresholds are wide: a healthy run must get no finding. N is the batch, and ln(2N - 1) the loss
of collapse (see `collapsed_loss`).
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..result import Result
from .measurement import Measurement

LEAST_PATIENCE, MOST_PATIENCE = 50, 200  # steps before slow progress counts
_REPEATED = 0.1  # share of images
_ALIKE = 0.95  # contrastive accuracy before the first step
_COLLAPSED_RANK, _COLLAPSED_UNIFORMITY = 1.1, -1e-3
_LOW_RANK, _LOST_RANK = 2.0, 2 / 3  # of few directions, fewer than this share of those before
_TOLD_APART = 0.1  # contrastive accuracy above guessing that shows learning
_STILL, _MOVED, _MOVED_BY = 0.03, 1.25, 0.02  # loss and accuracy since the first interval
_FLAT = 1e-3  # of the loss
_ABOVE = 1.02  # times the loss of collapse
_WORSE = 1.25  # what counts as worse than at the last warning

Kind: typing.TypeAlias = typing.Literal[
    "repeated_images",
    "views_too_alike",
    "collapsed_features",
    "temperature_too_low",
    "learning_rate_too_high",
    "loss_above_collapse",
    "nothing_learned",
    "learning_rate_too_low",
]


@dataclasses.dataclass(frozen=True)
class Finding(Result):
    """Something that is wrong with a run.

    Attributes:
        kind: What it is; docs/monitoring.md has a section for each.
        step: The step at which it was found.
        text: What was measured, what it means and which setting to change.
        severity: How bad it is; only findings of the same kind can be compared.
    """

    kind: Kind
    step: int
    text: str
    severity: float


@dataclasses.dataclass(frozen=True)
class Measured:
    """What is known at a step: what training logged for the interval, and a measurement.

    Attributes:
        step: Steps made.
        loss: Mean training loss of the interval; `None` before the first step.
        accuracy: Mean contrastive accuracy of the interval.
        measurement: Of the fixed images; `None` if nothing is measured.
    """

    step: int
    loss: float | None = None
    accuracy: float | None = None
    measurement: Measurement | None = None

    @classmethod
    def of(
        cls, step: int, logs: Mapping[str, typing.Any] | None, measurement: Measurement | None
    ) -> "Measured":
        """From the logs of training, or a row of `history.csv`."""
        if logs is None:
            return cls(step, measurement=measurement)
        return cls(step, float(logs["loss"]), float(logs["contrastive_accuracy"]), measurement)


@dataclasses.dataclass(frozen=True)
class Circumstances:
    """What a run's numbers must be compared with.

    Attributes:
        batch_size: N.
        collapsed_loss: The loss if all projections are equal.
        temperature: Of the loss.
        learning_rate: Its peak.
        warmup_steps: Steps of the warm-up.
        total_steps: Steps of the run.
        patience: Steps after which slow progress counts; see `patience_of`.
        repeated: Share of the images that occur more than once.
    """

    batch_size: int
    collapsed_loss: float
    temperature: float
    learning_rate: float
    warmup_steps: int
    total_steps: int
    patience: int = MOST_PATIENCE
    repeated: float = 0.0

    @property
    def guessing(self) -> float:
        """The contrastive accuracy of guessing."""
        return 1 / (2 * self.batch_size - 1)

    def is_late(self, step: int, patience: int = 1) -> bool:
        """Whether a run should have begun to learn: so many times its patience has passed."""
        return step >= self.warmup_steps + patience * self.patience

    def is_guessing(self, accuracy: float) -> bool:
        """Whether a contrastive accuracy is about that of guessing."""
        # With few images, guessing is far above 0.
        return accuracy <= min(2 * self.guessing, self.guessing + 0.1)


def patience_of(warmup_steps: int, total_steps: int) -> int:
    """Half of the steps after the warm-up, but 50 to 200."""
    return min(max((total_steps - warmup_steps) // 2, LEAST_PATIENCE), MOST_PATIENCE)


def diagnose(rows: Sequence[Measured], run: Circumstances) -> list[Finding]:
    """Finds what is wrong at the last of the rows; at most one finding of each kind.

    Args:
        rows: What was measured, by step.
        run: The circumstances.
    """
    found = [rule(rows, run) for rule in _RULES] if rows else []
    kinds = {finding.kind for finding in found if finding}
    return [f for f in found if f and not kinds & _EXPLAINED_BY.get(f.kind, set())]


class Diagnosis:
    """The findings of a run that goes on.

    Args:
        run: The circumstances.
    """

    def __init__(self, run: Circumstances):
        self._run = run
        self._rows: list[Measured] = []
        self._said: dict[str, Finding] = {}

    def begin(self, rows: Iterable[Measured]) -> None:
        """Begins with the rows of the steps made before."""
        self._rows = list(rows)

    def add(self, row: Measured) -> list[Finding]:
        """Adds a row; returns what a warning is due for.

        It is due once for each kind, and again if it has become worse, or after 200 steps
        and a tenth of the run.
        """
        self._rows.append(row)
        due = [finding for finding in self.findings if self._is_due(finding)]
        self._said.update({finding.kind: finding for finding in due})
        return due

    @property
    def findings(self) -> list[Finding]:
        """What is wrong now."""
        return diagnose(self._rows, self._run)

    def _is_due(self, finding: Finding) -> bool:
        said = self._said.get(finding.kind)
        if said is None or finding.severity > _WORSE * said.severity:
            return True
        if finding.kind in _OF_THE_DATA:
            return False
        return finding.step - said.step >= max(MOST_PATIENCE, self._run.total_steps // 10)


def _repeated_images(rows, run) -> Finding | None:
    if run.repeated < _REPEATED:
        return None
    return Finding(
        "repeated_images",
        rows[-1].step,
        f"{run.repeated:.0%} of the images that are measured occur more than once, pixel by pixel. "
        "SimCLR learns to tell images apart, and equal images cannot be: they count as negatives "
        "of each other. Remove the copies from `dataset`.",
        run.repeated,
    )


def _views_too_alike(rows, run) -> Finding | None:
    # Before the first step only colours and positions of the pixels can tell.
    first = rows[0].measurement
    if first is None or first.step or first.contrastive_accuracy < _ALIKE:
        return None
    return Finding(
        "views_too_alike",
        rows[-1].step,
        "The views of an image are too alike: before the first step, with random weights, a "
        f"view's partner was already the nearest of the other views in "
        f"{first.contrastive_accuracy:.0%} of all cases, so there is nothing to learn. Crop more "
        "(lower `crop_area_min`), and raise `color_jitter_strength`.",
        first.contrastive_accuracy,
    )


def _collapsed_features(rows, run) -> Finding | None:
    step, now = rows[-1].step, rows[-1].measurement
    if now is None or step <= run.warmup_steps:
        return None
    collapsed = now.effective_rank < _COLLAPSED_RANK or now.uniformity > _COLLAPSED_UNIFORMITY
    if not (collapsed or (run.is_late(step) and _has_lost_rank(rows))):
        return None
    return Finding(
        "collapsed_features",
        step,
        f"The features have collapsed: those of {now.images} different images have an effective "
        f"rank of {now.effective_rank:.2f} (1 is a single direction) and a uniformity of "
        f"{now.uniformity:.2g} (0: all are equal). Begin a new run with a lower `learning_rate` "
        f"(now up to {run.learning_rate:.3g}) or a longer warm-up (`warmup_fraction`).",
        1 / now.effective_rank,
    )


def _has_lost_rank(rows) -> bool:
    """Whether fewer directions are left than random weights give, and hardly more than one."""
    before, now = rows[0].measurement, rows[-1].measurement
    if before is None or before.step or now.effective_rank >= _LOW_RANK:
        return False
    return now.effective_rank < _LOST_RANK * before.effective_rank


def _temperature_too_low(rows, run) -> Finding | None:
    now = rows[-1]
    if not (run.is_late(now.step) and _above_collapse(now, run)):
        return None
    if now.accuracy <= run.guessing + _TOLD_APART:
        return None
    return Finding(
        "temperature_too_low",
        now.step,
        f"The loss is {now.loss:.4g}, above that of equal projections ({run.collapsed_loss:.4g}), "
        f"although a view's partner is the nearest of the other views in {now.accuracy:.1%} of all "
        "cases: a few nearest candidates decide the loss and its gradient. Raise `temperature` "
        f"(now {run.temperature:g}; 0.1 to 0.5 are usual).",
        now.loss / run.collapsed_loss,
    )


def _learning_rate_too_high(rows, run) -> Finding | None:
    now = rows[-1]
    if now.loss is None or now.step <= run.warmup_steps:
        return None
    best = min((row for row in rows if row.loss is not None), key=lambda row: row.loss)
    # An early fall that is lost: back to collapse, or above.
    if best.loss > 0.95 * run.collapsed_loss or now.loss < (1 - 0.01) * run.collapsed_loss:
        return None
    return Finding(
        "learning_rate_too_high",
        now.step,
        f"The loss had fallen to {best.loss:.4g} by step {best.step} and is back at {now.loss:.4g}, "
        f"that of equal projections ({run.collapsed_loss:.4g}) or above: training diverged. Begin "
        f"a new run with a lower `learning_rate` (now up to {run.learning_rate:.3g}).",
        now.loss / best.loss,
    )


def _loss_above_collapse(rows, run) -> Finding | None:
    now = rows[-1]
    if not (run.is_late(now.step) and _above_collapse(now, run)):
        return None
    return Finding(
        "loss_above_collapse",
        now.step,
        f"The loss is {now.loss:.4g}, worse than the {run.collapsed_loss:.4g} that an encoder gets "
        "which gives every image the same projection: ln(2N - 1). Training makes no progress. Lower "
        f"`learning_rate` (now up to {run.learning_rate:.3g}), or raise `temperature` (now "
        f"{run.temperature:g}).",
        now.loss / run.collapsed_loss,
    )


def _nothing_learned(rows, run) -> Finding | None:
    """The loss alone does not show this: it is near that of collapse for the first hundred steps of
    many runs that later learn, and always at a high temperature."""
    since = None
    for row in rows:
        if row.loss is None:
            continue
        if row.step < run.warmup_steps or not run.is_guessing(row.accuracy):
            since = None
        elif since is None or row.loss < (1 - _FLAT) * since.loss:
            since = row
    now = rows[-1]
    if since is None or now.step - since.step < run.patience or now.loss is None:
        return None
    return Finding(
        "nothing_learned",
        now.step,
        f"Nothing learned in {now.step - since.step} steps. The loss stays at {now.loss:.3f}, and a "
        f"view's partner is the nearest of the other views in the batch in {now.accuracy:.2g} of all "
        f"cases, close to guessing ({run.guessing:.2g}): the views of an image may be too different, "
        "or the features may have collapsed. Try a lower `learning_rate` (a higher one if the loss "
        "has never moved), or weaker augmentations: a higher `crop_area_min`, a lower "
        "`color_jitter_strength`.",
        1.0,
    )


def _learning_rate_too_low(rows, run) -> Finding | None:
    now, first = rows[-1], next((row for row in rows if row.loss is not None), None)
    if first is None or now is first or now.loss is None or not run.is_late(now.step, 2):
        return None
    has_learned = (
        now.accuracy > run.guessing + _TOLD_APART or now.loss < 0.9 * run.collapsed_loss
    )
    has_moved = (
        now.loss < (1 - _STILL) * first.loss
        or now.accuracy > max(_MOVED * first.accuracy, first.accuracy + _MOVED_BY)
        or now.loss > run.collapsed_loss
    )
    if has_learned or has_moved:
        return None
    return Finding(
        "learning_rate_too_low",
        now.step,
        f"The loss has hardly moved since the first steps: {first.loss:.4g} by step {first.step}, "
        f"{now.loss:.4g} now; and a view's partner is the nearest of the other views in "
        f"{now.accuracy:.1%} of all cases, {first.accuracy:.1%} then. Raise `learning_rate` (now up "
        f"to {run.learning_rate:.3g}), tenfold at first; if that does not help, the views of an image "
        "may be too different: raise `crop_area_min`.",
        1.0,
    )


def _above_collapse(now: Measured, run: Circumstances) -> bool:
    return now.loss is not None and now.loss > _ABOVE * run.collapsed_loss


_RULES: tuple[Callable[[Sequence[Measured], Circumstances], Finding | None], ...] = (
    _repeated_images,
    _views_too_alike,
    _collapsed_features,
    _temperature_too_low,
    _learning_rate_too_high,
    _loss_above_collapse,
    _nothing_learned,
    _learning_rate_too_low,
)
_OF_THE_DATA = ("repeated_images", "views_too_alike")  # said once
# A finding is left out if another one says why.
_EXPLAINED_BY: dict[str, set[str]] = {
    "loss_above_collapse": {
        "collapsed_features",
        "temperature_too_low",
        "learning_rate_too_high",
    },
    "learning_rate_too_high": {"collapsed_features", "temperature_too_low"},
    "nothing_learned": {"collapsed_features", "learning_rate_too_high", "loss_above_collapse"},
    "learning_rate_too_low": {
        "repeated_images",
        "views_too_alike",
        "collapsed_features",
        "nothing_learned",
    },
}
