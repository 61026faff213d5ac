"""The public names: each documented, with an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest
from processes import ROOT

import simclr_keras as sk


@pytest.mark.parametrize("name", sk.__all__)
def test_public_names_are_documented_with_an_example(name):
    text = inspect.getdoc(getattr(sk, name))
    assert text and "Example:" in text and ">>> " in text
    assert "Reference:" in text or name in ("InputError", "RunFailure")


def _modules():
    for info in pkgutil.walk_packages(sk.__path__, "simclr_keras."):
        yield importlib.import_module(info.name)


EXAMPLES = {
    example.name: example
    for module in _modules()
    for example in doctest.DocTestFinder().find(module)
    if example.examples
}


SLOW = ("pretrain", "distill_run")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name.endswith(SLOW) else ())
        for name in sorted(EXAMPLES)
    ],
)
def test_examples_run(name, tmp_path, monkeypatch, untrained_run):
    monkeypatch.chdir(tmp_path)
    if "runs/digits" in EXAMPLES[name].docstring:
        untrained_run("runs/digits")
    runner = doctest.DocTestRunner()
    runner.run(EXAMPLES[name])
    assert runner.tries > 0 and runner.failures == 0


@pytest.mark.parametrize(
    "file", sorted((ROOT / "examples").rglob("*.py")), ids=lambda file: file.name
)
def test_examples_use_public_names_only(file):
    source = file.read_text()
    assert not re.findall(r"(?:from|import) simclr_keras\.", source)
    assert set(re.findall(r"\bsk\.(\w+)", source)) <= {*sk.__all__, "__version__"}


def test_editors_see_what_is_public():
    assert set(dir(sk)) == set(sk.__all__) and "SimCLR" in dir(sk)


def test_no_folder_hides_a_public_name():
    """Importing a package replaces the attribute of its name: `sk.search` must stay callable."""
    folders = {info.name for info in pkgutil.iter_modules(sk.__path__)}
    assert not folders & set(sk.__all__)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="SimClr"):
        sk.SimClr  # noqa: B018


# In the order that an image passes them: a folder imports only from those before it.
STAGES = (
    "data checks views networks objective distribution training evaluation classifiers serving "
    "embeddings plots runs cli"
).split()


def test_imports_go_one_way():
    for module in _modules():
        parts = module.__name__.split(".")
        if parts[1] not in STAGES or hasattr(module, "__path__"):
            continue
        source = inspect.getsource(module)
        for stage in re.findall(r"^\s*from \.\.(\w+)", source, re.MULTILINE):
            if stage in STAGES:
                assert STAGES.index(stage) < STAGES.index(parts[1]), (
                    f"{module.__name__} <- {stage}"
                )


def _untyped(name, function):
    """Parameters (and the result) of a function without annotation."""
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if named and parameter.name != "self" and parameter.annotation is parameter.empty:
            yield f"{name}({parameter.name})"
    if signature.return_annotation is signature.empty and function.__name__ != "__init__":
        yield f"{name} -> ?"


# Called by Keras alone, with what it likes.
KERAS_CALLS = {"LARS.update", "Muon.update", "SimCLR.train_step", "SimCLR.test_step"}


@pytest.mark.parametrize("name", sk.__all__)
def test_public_names_have_types(name):
    value = getattr(sk, name)
    functions = {name: value}
    if inspect.isclass(value):
        own = {key: member for key, member in vars(value).items() if inspect.isfunction(member)}
        functions = {f"{name}.{key}": f for key, f in own.items() if key.strip("_") == key}
        functions[name] = value.__init__
    found = [
        text
        for key, f in functions.items()
        if key not in KERAS_CALLS
        for text in _untyped(key, f)
    ]
    assert not found
