"""What `map` and `select` print."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from simclr_keras.cli.main import app


@pytest.fixture
def run(tmp_path, monkeypatch, rng):
    """Runs a command on 12 embeddings in `e.npz`; returns its lines."""
    monkeypatch.chdir(tmp_path)
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(12)]
    np.savez("e.npz", paths=names, embeddings=rng.normal(size=(12, 8)))

    def run(*arguments):
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    return run


def test_map(run, tmp_path):
    *text, result = run("map", "e.npz", "--projection", "pca", "--json")
    assert "12 images, 0 with a picture" in text[-2] and text[-1] == "Page: e_map.html"
    result = json.loads(result)
    assert result["page"] == "e_map.html" and result["folders"] == 2
    assert len(result["outliers"]) == 12 and (tmp_path / "e_map.html").exists()


def test_select(run, tmp_path):
    *text, result = run("select", "e.npz", "--count", "3", "--output", "l.csv", "--json")
    assert text[-1] == "3 of 12 images to label (0 are labelled already): l.csv"
    assert len(json.loads(result)["chosen"]) == 3
    assert (tmp_path / "l.csv").read_text().count(",\n") == 3
