import pytest
import tensorflow as tf

from simclr_keras.errors import RunFailure
from simclr_keras.training.run_rows import RunRows, read_history


def test_rows_are_appended_and_dropped_after_a_step(tmp_path):
    rows = RunRows(tmp_path / "rows.csv", tmp_path / "tensorboard")
    assert rows.read() == rows.keep_until(10) == []
    for step in (0, 5, 10):
        rows.append(step, {"loss": 1.5 - step}, prefix="held_out_")
    assert (tmp_path / "rows.csv").read_text().split() == [
        "step,held_out_loss",
        "0,1.5",
        "5,-3.5",
        "10,-8.5",
    ]
    assert [row["step"] for row in rows.keep_until(5)] == ["0", "5"]
    assert len(rows.read()) == 2
    assert rows.keep_until(-1) == [] and not (tmp_path / "rows.csv").exists()


def test_a_row_with_other_numbers_gets_columns_of_its_own(tmp_path):
    rows = RunRows(tmp_path / "rows.csv", tmp_path / "tensorboard")
    rows.append(1, {"a": 1.0})
    rows.append(2, {"b": 2.0, "a": 3.0})
    rows.append(3, {"a": 4.0})
    assert [tuple(row.values()) for row in rows.read()] == [
        ("1", "1.0", ""),
        ("2", "3.0", "2.0"),
        ("3", "4.0", ""),
    ]


def test_a_full_disk_is_said_of_tensorboard_too(tmp_path, monkeypatch):
    rows = RunRows(tmp_path / "rows.csv", tmp_path / "tensorboard")

    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "events; No space left on device")

    monkeypatch.setattr(tf.summary, "scalar", full)
    with pytest.raises(
        RunFailure, match="The disk is full: .*tensorboard could not be written"
    ):
        rows.append(1, {"loss": 1.0})


def test_rows_that_were_cut_off_are_left_out(tmp_path):
    path = tmp_path / "rows.csv"
    rows = RunRows(path, tmp_path / "tensorboard")
    for step in (5, 10):
        rows.append(step, {"loss": 1.5, "rate": 0.1})
    with path.open("ab") as file:
        file.write(b"1\n\xff\xfe,2,3\n7,1,1,1,1\n")
    assert [row["step"] for row in rows.read()] == ["5", "10"]
    rows.append(15, {"loss": 1.0, "rate": 0.1})
    assert [row["step"] for row in rows.keep_until(15)] == ["5", "10", "15"]
    assert path.read_text().count("\n") == 4


def test_a_file_of_something_else_is_left_as_it_is(tmp_path):
    (tmp_path / "rows.csv").write_text("name,price\na,1\n")
    with pytest.raises(RunFailure, match="no column `step`. Move it away"):
        read_history(tmp_path / "rows.csv")
