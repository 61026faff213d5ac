"""What editors and type checkers see: jedi completes and navigates, pyright knows every type."""

import importlib.util
import inspect
import json
import pathlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from processes import ROOT

import simclr_keras as sk

FOLDERS = {module.name for module in pkgutil.iter_modules(sk.__path__)}
# tf.distribute has no types that a checker can find, and a loaded export has whatever the
# SavedModel holds.
UNTYPED = {"choose_strategy", "distribute_rows", "load_exported"}

SCRIPT = """
import simclr_keras as sk

encoder = sk.build_encoder("simclr_resnet18", image_size=32)
model = sk.SimCLR(encoder, sk.ProjectionHead(), sk.SimCLRAugmenter(32))
model.compile(optimizer=sk.LARS(sk.WarmupCosine(1.0, total_steps=10), weight_decay=1e-6))
config = sk.PretrainConfig(dataset="digits", run_dir="runs/digits")
exported = sk.export(sk.ExportConfig("runs/digits", output="saved_models/digits"))
embedded = sk.embed(sk.EmbedConfig(exported.path, "digits", output="digits.npz"))
found = sk.search(sk.SearchConfig(embedded.output, embedded.paths[:1]))
"""
RESULTS = {
    "encoder": "Model",
    "model": "SimCLR",
    "model.encoder": "Model",
    "model.temperature": "float",
    "model.fit(encoder)": "History",
    "config.batch_size": "int",
    "sk.pretrain(config)": "PretrainResult",
    "sk.pretrain(config).loss": "float | None",
    'sk.evaluate(sk.EvaluateConfig("run")).knn_accuracy': "float",
    'sk.fine_tune_run(sk.FineTuneConfig(run="run")).test_accuracy': "float | None",
    'sk.distill_run(sk.DistillConfig(run="run")).images': "int",
    "exported.path": "Path",
    'sk.report(sk.ReportConfig("run")).views': "Path",
    "found.rows[0].matches[0].cosine": "float",
    "sk.verify_replicas(sk.VerifyConfig()).passed": "bool",
    "sk.quickstart(sk.QuickstartConfig()).export": "Path",
}


@pytest.fixture(scope="module")
def script():
    """Makes what jedi knows about a user's script that begins with our import."""
    jedi = pytest.importorskip("jedi", reason="jedi is in the extra `dev`")
    project = jedi.Project(ROOT)
    return lambda text: jedi.Script(f"import simclr_keras as sk\n{text}", project=project)


def test_jedi_offers_the_public_names(script):
    offered = {completion.name for completion in script("sk.").complete(2, 3)}
    # Python has every module a module's attributes, and every package its folders.
    named = {name for name in offered if not (name.startswith("__") and name.endswith("__"))}
    assert named - FOLDERS == set(sk.__all__) - FOLDERS
    assert set(sk.__all__) <= named


def test_notebooks_offer_exactly_the_public_names():
    jedi = pytest.importorskip("jedi", reason="jedi is in the extra `dev`")
    offered = [
        completion.name for completion in jedi.Interpreter("sk.", [{"sk": sk}]).complete()
    ]
    assert sorted(offered) == sorted(sk.__all__)


@pytest.mark.parametrize(
    "name",
    [
        "build_encoder",
        "pretrain",
        "search",
        "ProjectionHead",
        pytest.param("SimCLR", marks=pytest.mark.slow),  # jedi reads all of keras.Model
    ],
)
def test_jedi_shows_signatures(script, name):
    signatures = script(f"sk.{name}(").get_signatures()
    # jedi finds a function under two decorators twice.
    assert len({signature.to_string() for signature in signatures}) == 1
    shown = signatures[0]
    expected = [
        parameter.name
        for parameter in inspect.signature(getattr(sk, name)).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    assert [parameter.name for parameter in shown.params][: len(expected)] == expected


def test_jedi_goes_to_the_definition(script):
    text = "\n".join(f"sk.{name}" for name in sk.__all__)
    user = script(text)
    for line, name in enumerate(sk.__all__, start=2):
        (found,) = user.goto(line, 4, follow_imports=True)
        assert found.module_path == pathlib.Path(
            inspect.getsourcefile(inspect.unwrap(getattr(sk, name)))
        )
        assert found.name == name


def _revealed(folder, script: str) -> dict[str, str]:
    """Expression -> its type, for each `reveal_type` of a script without errors."""
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("basedpyright is in the extra `dev`")
    file = folder / "user.py"
    file.write_text(script)
    settings = {
        "typeCheckingMode": "standard",
        "extraPaths": [str(ROOT)],
        "include": [str(file)],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(folder)]
    printed = subprocess.run(
        [*command, "--pythonpath", sys.executable], capture_output=True, text=True, timeout=300
    ).stdout
    messages = json.loads(printed)["generalDiagnostics"]
    wrong = [m["message"] for m in messages if m["severity"] in ("error", "warning")]
    assert not wrong
    texts = [m["message"].removeprefix('Type of "').removesuffix('"') for m in messages]
    return dict(text.split('" is "', 1) for text in texts)


@pytest.mark.slow
@pytest.mark.skipif(np.__version__ < "2", reason="pyright knows no type of NumPy 1's arrays")
def test_pyright_knows_the_types(tmp_path):
    names = [f"sk.{name}" for name in sk.__all__]
    lines = [f"reveal_type({expression})" for expression in (*names, *RESULTS)]
    types = _revealed(tmp_path, "\n".join([SCRIPT, *lines]))
    for name in names:
        if name.removeprefix("sk.") not in UNTYPED:
            known = types[name]
            assert known not in ("Any", "Unknown"), name
            assert not known.endswith(("-> Unknown", "-> Any", "[Unknown, Unknown]")), known
    assert {expression: types[expression] for expression in RESULTS} == RESULTS


def test_pyright_refuses_wrong_use(tmp_path):
    with pytest.raises(AssertionError, match='"temprature"'):
        _revealed(
            tmp_path,
            'import simclr_keras as sk\nsk.PretrainConfig("digits", "runs/a", temprature=0.5)\n',
        )
