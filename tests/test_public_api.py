"""The public names: each documented, with an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import simclr_keras as sk


@pytest.mark.parametrize("name", sk.__all__)
def test_public_names_are_documented_with_an_example(name):
    text = inspect.getdoc(getattr(sk, name))
    assert text and "Example:" in text and ">>> " in text
    assert "Reference:" in text


@pytest.mark.parametrize("name", sk.__all__)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = getattr(sk, name)
    module = importlib.import_module(value.__module__)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for example in finder.find(value, name, module=module):
        runner.run(example)
    assert runner.tries > 0 and runner.failures == 0


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'SimClr'"):
        sk.SimClr  # noqa: B018


# In the order that an image passes them: a folder imports only from those before it.
STAGES = (
    "data views networks objective distribution training evaluation classifiers serving search "
    "report runs cli"
).split()


def test_imports_go_one_way():
    for info in pkgutil.walk_packages(sk.__path__, "simclr_keras."):
        parts = info.name.split(".")
        if parts[1] not in STAGES or info.ispkg:
            continue
        source = inspect.getsource(importlib.import_module(info.name))
        for stage in re.findall(r"^\s*from \.\.(\w+)", source, re.MULTILINE):
            if stage in STAGES:
                assert STAGES.index(stage) < STAGES.index(parts[1]), f"{info.name} <- {stage}"
