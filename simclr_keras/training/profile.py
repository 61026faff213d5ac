"""`ProfileSteps`: where the time of a training step goes."""

import collections
import contextlib
import logging
import pathlib
import re
import tempfile
import time
from collections.abc import Iterator

import keras
import tensorflow as tf

_LOGGER = logging.getLogger("simclr_keras")
_SKIPPED, _STEPS = 3, 5  # the first step is traced, and the next ones are not typical

# What a part of a step is called, and a pattern of the names of its operations; the first counts.
_PARTS = (
    ("gradients of kernels", r"BackpropFilter"),
    ("gradients of feature maps", r"BackpropInput"),
    ("convolutions", r"Conv2D$|Conv2DNative$|FusedConv"),
    ("batch norm", r"BatchNorm"),
    ("nonlinearities", r"(Relu|Elu|Selu|Gelu|Erf|Sigmoid|Tanh|Softmax)\w*$"),
    ("pooling", r"Pool\w*$"),
    # Its random numbers, and what XLA has compiled of it.
    ("views", r"augmenter|Bitwise|Shift:|fusion|reduce$|ParallelFor|CpuExecutable|BlockUntilR"),
    ("TensorFlow's scheduling", r"ExecutorState|ThreadpoolListener"),
    ("products of matrices", r"MatMul\w*$|Einsum$"),
    ("optimizer", r"(?i)/(adam|lars|muon|sgd|lamb)\w*/|Assign\w*VariableOp$|ResourceApply"),
)
_OTHER = "everything else"


class ProfileSteps(keras.callbacks.Callback):
    """Records a few steps with TensorFlow's profiler and says where their time goes.

    Training goes on as it would have. On a processor the operations of its threads are counted; on
    a GPU those of its streams.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made = 0
        self._folder = contextlib.ExitStack()

    def on_train_batch_end(self, batch, logs=None):
        self._made += 1
        if self._made == _SKIPPED:
            folder = tempfile.TemporaryDirectory(prefix="simclr_keras_")
            self._path = self._folder.enter_context(folder)
            tf.profiler.experimental.start(self._path)
            self._began = time.perf_counter()
        elif self._made == _SKIPPED + _STEPS:
            seconds = (time.perf_counter() - self._began) / _STEPS
            tf.profiler.experimental.stop()
            _LOGGER.info(_table(shares(self._path), seconds))
            self._folder.close()

    def on_train_end(self, logs=None):
        if _SKIPPED <= self._made < _SKIPPED + _STEPS:  # the training was shorter
            tf.profiler.experimental.stop(save=False)
            self._folder.close()
            self._made = _SKIPPED + _STEPS


def shares(folder: str) -> dict[str, float]:
    """The share of each part in the time that the operations of a recording took, largest first.

    Args:
        folder: What `tf.profiler.experimental.start` was given.
    """
    seconds: dict[str, float] = collections.defaultdict(float)
    for name, duration in _operations(folder):
        kind = next((part for part, pattern in _PARTS if re.search(pattern, name)), _OTHER)
        seconds[kind] += duration
    whole = sum(seconds.values())
    largest_first = sorted(seconds.items(), key=lambda item: -item[1])
    return {part: value / whole for part, value in largest_first if whole}


def _operations(folder: str) -> Iterator[tuple[str, float]]:
    """(name, time of its own) of each operation on a device: of streams, or of a processor."""
    # There is no public reader of the recordings.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    for file in pathlib.Path(folder).glob("plugins/profile/*/*.xplane.pb"):
        space = xplane_pb2.XSpace()
        space.ParseFromString(file.read_bytes())
        devices = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
        for plane in devices or [p for p in space.planes if p.name == "/host:CPU"]:
            names = {key: value.name for key, value in plane.event_metadata.items()}
            wanted = "Stream" if devices else "tf_Compute"
            for line in plane.lines:
                if line.name.startswith(wanted):
                    yield from _own_times(line.events, names)


def _own_times(events, names: dict[int, str]) -> Iterator[tuple[str, float]]:
    """The time of each event on a line without that of the events inside it."""
    stack: list[list] = []  # [end, name, time of its own]
    in_order = sorted(
        ((e.offset_ps, e.duration_ps, names[e.metadata_id]) for e in events),
        key=lambda event: (event[0], -event[1]),
    )
    for begin, duration, name in in_order:
        while stack and stack[-1][0] <= begin:
            yield tuple(stack.pop()[1:])
        if stack:
            stack[-1][2] -= duration
        stack.append([begin + duration, name, duration])
    while stack:
        yield tuple(stack.pop()[1:])


def _table(parts: dict[str, float], seconds: float) -> str:
    lines = [
        f"A step takes {1e3 * seconds:.0f} ms (mean of {_STEPS}). Of the operations' time:"
    ]
    lines += [f"{share:>8.1%}  {part}" for part, share in parts.items()]
    return "\n".join(lines)
