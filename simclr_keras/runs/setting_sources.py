"""Settings from several sources, the later winning: a preset, a file, augmentations, flags."""

import collections
import dataclasses
import json
import os
import re
import types
import typing
from collections.abc import Mapping
from typing import ClassVar

from ..errors import InputError, did_you_mean
from ..local_copies import file_here, with_local_copies
from ..settings import Settings, setting, without_idle_epochs
from .presets import AUGMENTATIONS, PRESETS, AugmentName, NamedSettings, PresetName

# What else a run's `config.json` holds; see `RunDirectory`.
RUN_KEYS = (
    "keras_generation",
    "dataset_folder",
    "sources",
    "total_steps",
    "interval",
    "precision",
    "raised",
    "calls",
    "counts",
    "repeated_images",
)

_GIVEN = "given"
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_S = typing.TypeVar("_S", bound="SourcedSettings")


@dataclasses.dataclass(frozen=True)
class SettingSources(Settings):
    """What supplies settings besides those that are given one by one."""

    preset: PresetName | None = setting(
        None, "Begin with the settings of a published or measured recipe."
    )
    config: str | None = setting(
        None, "JSON or YAML file of settings, such as the config.json of another run."
    )
    augment: AugmentName | None = setting(
        None, "Augmentations for a kind of images.", panel="Views"
    )


@dataclasses.dataclass(frozen=True)
class SourcedSettings(Settings):
    """Settings that a preset, a file and augmentations may supply.

    Attributes:
        alternatives: Groups of settings of which one at most has a value: giving one drops the
            others of earlier sources.
        belongs_to: setting -> settings that were chosen for its value: giving it another value
            drops those of earlier sources.
        sources: setting -> where its value comes from, if `from_sources` made this. It says
            nothing about the values, and does not count in comparisons.
    """

    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = ()
    belongs_to: ClassVar[dict[str, tuple[str, ...]]] = {}
    sources: dict[str, str] = dataclasses.field(
        default_factory=dict, compare=False, repr=False, kw_only=True
    )

    @classmethod
    def implied(cls, settings: Mapping[str, typing.Any]) -> tuple[str, dict[str, object]]:
        """What other settings imply.

        Args:
            settings: Those of all sources.

        Returns:
            The source to name, and the settings.
        """
        return "", {}

    @classmethod
    def from_sources(
        cls: type[_S],
        preset: PresetName | None = None,
        config: str | os.PathLike | None = None,
        augment: AugmentName | None = None,
        **settings,
    ) -> _S:
        """Settings from several sources.

        The later wins: defaults, the preset, the architecture of trained `weights`, the file, the
        augmentations, the settings given one by one. The file may name a `preset` and an `augment`
        too, which then come before its own settings.

        Args:
            preset: Name of a preset; docs/presets.md lists them.
            config: JSON or YAML file with names of settings as keys, or the `config.json` of a
                run. Relative paths in it start from the working directory.
            augment: Name of augmentations; docs/presets.md lists them.
            **settings: Single settings.

        Returns:
            The settings; their `sources` say where each value comes from, except defaults.

        Raises:
            InputError: If a source cannot be read, names an unknown setting or has a value that
                does not fit, or a setting without a default is missing.
        """
        sources = SettingSources(preset, None if config is None else os.fspath(config), augment)
        values, origins = _gather(cls, sources, settings)
        missing = [f"`{name}`" for name in required(cls) if name not in values]
        if missing:
            raise InputError(
                f"{' and '.join(missing)} must be given, or named in the file of `config`."
            )
        try:
            return cls(**values, sources=origins)
        except InputError as error:
            raise InputError(_with_origins(str(error), origins)) from None


def required(config_class: type) -> list[str]:
    """The settings that have no default."""
    return [
        field.name
        for field in dataclasses.fields(config_class)
        if field.default is field.default_factory is dataclasses.MISSING
    ]


def _gather(
    config_class: type[SourcedSettings], sources: SettingSources, given: dict
) -> tuple[dict, dict]:
    """The values of all sources, and where each comes from."""
    in_file = {} if sources.config is None else read_settings(sources.config, config_class)
    preset, augment = in_file.pop("preset", None), in_file.pop("augment", None)
    of_preset = _named("preset", PRESETS, sources.preset or preset)
    others = [
        _named("augment", AUGMENTATIONS, None if sources.augment else augment),
        (f"file {sources.config}", in_file),
        _named("augment", AUGMENTATIONS, sources.augment),  # given, so after the file
        (_GIVEN, given),
    ]
    implied = config_class.implied(collections.ChainMap(given, in_file, of_preset[1]))
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for origin, layer in (of_preset, implied, *others):
        for name in _superseded(config_class, values, layer):
            values.pop(name, None)
            origins.pop(name, None)
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    return values, origins


def _superseded(config_class: type[SourcedSettings], values: dict, layer: dict) -> set[str]:
    """The settings whose earlier values no longer count when a later source adds its own."""
    dropped: set[str] = set()
    for group in config_class.alternatives:
        if any(layer.get(name) is not None for name in group):
            dropped.update(group)
    for name, dependent in config_class.belongs_to.items():
        if name in layer and name in values and layer[name] != values[name]:
            dropped.update(dependent)
    return dropped


def _named(
    kind: str, known: dict[str, NamedSettings], name: str | None
) -> tuple[str, dict[str, object]]:
    return f"{kind} {name}", known[name].settings if name else {}


def _with_origins(message: str, origins: dict[str, str]) -> str:
    """A message about values, with the sources of those that were not given one by one."""
    found = [
        f"{name} comes from {origin}"
        for name, origin in origins.items()
        if origin != _GIVEN and re.search(rf"\b{name}=", message)
    ]
    return f"{message} ({', '.join(found)})" if found else message


def read_settings(path: str, config_class: type) -> dict[str, typing.Any]:
    """Reads the settings in a file, each with a value of its type.

    Args:
        path: A `.json`, `.yaml` or `.yml` file.
        config_class: The settings that it may name, besides `preset` and `augment`.

    Returns:
        setting -> value.

    Raises:
        InputError: If the file cannot be read, names something else, or a value has another type.
    """
    content = parse_settings(path)
    if not isinstance(content, dict):
        raise InputError(
            f"{path} must hold names of settings and their values. Received: {content!r:.80}"
        )
    if RUN_KEYS[0] in content:
        content = without_idle_epochs(content)  # a run's
    hints = typing.get_type_hints(config_class)
    known = [field.name for field in dataclasses.fields(config_class)]
    known = [name for name in known if name not in RUN_KEYS]
    hints.update(preset=PresetName | None, augment=AugmentName | None)
    known += ["preset", "augment"]
    settings = {}
    for name, value in content.items():
        if name in RUN_KEYS:
            continue
        if name not in known:
            raise InputError(
                f"{path} has an unknown setting, {name}.{did_you_mean(str(name), known)}"
            )
        settings[name] = _typed(path, name, value, hints[name])
    SettingSources(settings.get("preset"), None, settings.get("augment"))  # checks the names
    return settings


@with_local_copies
def parse_settings(path: str):
    """What a `.json`, `.yaml` or `.yml` file holds.

    Raises:
        InputError: If the file cannot be read.
    """
    file = file_here(path)
    suffix = file.suffix.lower()
    if suffix not in (".json", ".yaml", ".yml"):
        raise InputError(f"`config` must be a .json or .yaml file. Received: config={path}")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The file of `config` cannot be read: {error}. Received: config={path}"
        ) from None
    try:
        return json.loads(text) if suffix == ".json" else _parse_yaml(text)
    except ValueError as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{path} is not valid {suffix[1:].upper()}: {problem}") from None


def _parse_yaml(text: str):
    import yaml  # imported by few commands

    class Loader(yaml.SafeLoader):
        """Reads 4e-3 as a number: YAML 1.1 wants 4.0e-3, and makes text of it otherwise."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
        list("-+.0123456789"),
    )
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _typed(path: str, name: str, value, hint):
    """The value, a number of the setting's type; raises an `InputError` if it has another type."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = [
        str if typing.get_origin(part) is typing.Literal else part
        for part in (typing.get_args(hint) if is_union else [hint])
    ]
    if type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return float(value)
    expected = " or ".join(_EXPECTED[kind] for kind in kinds if kind is not type(None))
    raise InputError(f"{path}: {name} must be {expected}. Received: {value!r:.80}")
