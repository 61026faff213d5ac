import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL_NETWORK

from simclr_keras import PretrainConfig, ReportConfig, pretrain
from simclr_keras.errors import InputError
from simclr_keras.runs.report import report

pytestmark = pytest.mark.usefixtures("short_resnet")
HISTORY = """step,epoch,learning_rate,contrastive_accuracy,loss,images_per_second
1,0.5,0.1,0.25,1.9,10.0
2,1.0,0.0,0.5,1.8,20.0
"""


@pytest.mark.parametrize("crop", ["auto", "device"])
def test_pictures_of_a_folder(image_folder, tmp_path, untrained_run, crop):
    settings = {"image_size": 16, "batch_size": 4, "steps": 2, "crop": crop}
    run = untrained_run(tmp_path / "run", image_folder, **settings)
    (run / "history.csv").write_text(HISTORY)
    result = report(ReportConfig(str(run)))
    assert result.curves == run / "report" / "curves.png"
    assert set(result.to_dict()) == {"views", "draws", "curves"}
    for path in result.to_dict().values():
        picture = tf.io.decode_png(tf.io.read_file(path)).numpy()
        assert picture.shape[1] > 400 and picture.std() > 10


@pytest.mark.slow
def test_pictures_show_what_was_trained_on(tmp_path, monkeypatch):
    """The views on the sheet are those that the first step drew."""
    from simclr_keras.views.augmenter import SimCLRAugmenter

    run, trained, shown = tmp_path / "run", [], []
    call = SimCLRAugmenter.call

    def spy(self, images, seed=None, first_position=0):
        views = call(self, images, seed, first_position)
        tf.py_function(
            lambda step, v: trained.append((int(step), v.numpy())), (seed[1], views[0]), []
        )
        return views

    with monkeypatch.context() as patch:
        patch.setattr(SimCLRAugmenter, "call", spy)
        settings = {**SMALL_NETWORK, "image_size": 16, "batch_size": 4, "steps": 2}
        pretrain(PretrainConfig(dataset="digits", run_dir=str(run), probe=True, **settings))
    monkeypatch.setattr(
        "simclr_keras.plots.views.save_view_pairs", lambda *a: shown.append(a) or a[0]
    )
    report(ReportConfig(str(run)))
    (first,) = (views for step, views in trained if step == 0)
    _, images, view_1, view_2 = shown[0]
    assert len(images) == len(view_1) == len(view_2) == 4
    np.testing.assert_allclose(view_1, first, atol=1e-5)


def test_a_run_is_needed(tmp_path):
    with pytest.raises(InputError, match="There is no run in"):
        report(ReportConfig(str(tmp_path)))
