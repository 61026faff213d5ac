"""Keras finds every class of this package that a file may contain."""

import importlib
import pathlib
import re

import keras

import simclr_keras
from simclr_keras.registered import SAVED_CLASSES

REGISTERED = re.compile(
    r'@keras\.saving\.register_keras_serializable\(package="simclr_keras"\)\nclass (\w+)'
)


def test_each_registered_class_is_listed_with_its_module():
    root = pathlib.Path(simclr_keras.__file__).parent
    found = {}
    for file in root.rglob("*.py"):
        for name in REGISTERED.findall(file.read_text()):
            found[name] = ".".join(file.relative_to(root).with_suffix("").parts)
    assert found == SAVED_CLASSES
    for name, module in found.items():
        own = getattr(importlib.import_module(f"simclr_keras.{module}"), name)
        assert keras.saving.get_registered_object(f"simclr_keras>{name}") is own


WITHOUT_TENSORFLOW = """
import sys
import simclr_keras
assert not {"keras", "tensorflow"} & sys.modules.keys()
import keras
assert not [name for name in sys.modules if name.startswith("simclr_keras.training")]
head = keras.saving.deserialize_keras_object({
    "module": None, "class_name": "ProjectionHead", "config": {"output_dim": 3},
    "registered_name": "simclr_keras>ProjectionHead",
})
print(type(head).__module__, head.output_dim)
"""


def test_importing_the_package_imports_nothing_and_keras_still_finds_it(run_python):
    assert run_python(WITHOUT_TENSORFLOW, new=True).split() == [
        "simclr_keras.networks.projection_head",
        "3",
    ]
