"""The quickstart, with fewer steps and label draws."""

import dataclasses
import json

import pytest

from simclr_keras.cli.main import app
from simclr_keras.runs import quickstart as module
from simclr_keras.serving.versions import load_exported


@pytest.mark.usefixtures("short_resnet")
def test_the_whole_pipeline_and_what_it_prints(tmp_path, monkeypatch, capsys):
    made = module.pretrain_config
    monkeypatch.setattr(
        module, "pretrain_config", lambda run: dataclasses.replace(made(run), steps=2)
    )
    monkeypatch.setattr(module, "DRAWS", 3)
    run, output = tmp_path / "run", tmp_path / "model"
    command = ["quickstart", "--run-dir", str(run), "--output", str(output), "--json"]
    app(command, standalone_mode=False)
    *lines, last = capsys.readouterr().out.splitlines()
    printed, result = "\n".join(lines), json.loads(last)

    # Pixels do not depend on the training: few labels of real digits are enough to beat chance.
    rows = result["few_labels"]
    assert [row["labels_per_class"] for row in rows] == [1, 2, 5]
    pixels = [row["pixels"]["mean"] for row in rows]
    assert 0.3 < pixels[0] < pixels[1] < pixels[2] < 0.9
    for row in rows:
        gain = row["gain_over_pixels"]
        assert gain["mean"] == pytest.approx(row["simclr"]["mean"] - row["pixels"]["mean"])
        assert gain["low"] < gain["mean"] < gain["high"]
        cell = f"{100 * row['pixels']['mean']:.1f} +- {100 * row['pixels']['deviation']:.1f}"
        assert cell in printed and f"({100 * gain['low']:+.1f} to" in printed

    assert json.loads((run / "evaluation.json").read_text())["few_labels"] == rows
    assert (
        result["picture"] == str(run / "report" / "views.png")
        and (run / "report" / "views.png").stat().st_size
    )
    assert load_exported(output).signatures["serving_default"]
    assert f"Exported model: {output / '1'}" in printed

    # Again: nothing is trained or exported a second time, and the result is the same.
    written = (run / "encoder.keras").stat().st_mtime_ns
    app(command, standalone_mode=False)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert (run / "encoder.keras").stat().st_mtime_ns == written
    assert [path.name for path in output.iterdir()] == ["1"]
