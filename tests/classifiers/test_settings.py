import pytest

from simclr_keras.classifiers.settings import TrainingSettings
from simclr_keras.errors import InputError


def _plan(images, **settings):
    return tuple(TrainingSettings(**settings).plan("fine-tune", images, 60))


def test_the_papers_settings_for_one_percent_of_imagenet():
    # 12,811 labels: 12 batches of 1024 in a pass, 60 passes; 0.005 * sqrt(1024) = 0.16.
    assert _plan(12_811) == (720, 1024, "lars", pytest.approx(0.16))


@pytest.mark.parametrize(
    "images, batch_size, steps",
    [
        (20, 16, 400),  # 60 passes of 1 batch would be 60 steps
        (500, 64, 420),  # a quarter is 125: 64, 7 batches in a pass
        (7, 7, 400),  # fewer images than the least batch
        (5_000, 1024, 400),  # 4 batches in a pass would be 240 steps
    ],
)
def test_few_images_get_small_batches_and_steps_enough(images, batch_size, steps):
    assert _plan(images) == (steps, batch_size, "adamw", 1e-3)


def test_what_is_asked_for_is_taken():
    assert _plan(500, steps=10, batch_size=50, optimizer="sgd") == (
        10,
        50,
        "sgd",
        pytest.approx(0.05 * 50 / 256),
    )
    assert _plan(500, epochs=2, batch_size=100, learning_rate=0.5)[:2] == (10, 100)
    assert _plan(500, learning_rate=0.5)[3] == 0.5
    assert _plan(10, batch_size=64)[1] == 10  # there are no more
    assert _plan(99, batch_size=9)[1] == 9 and _plan(9, batch_size=2)[1] == 2


@pytest.mark.parametrize(
    "settings, text",
    [
        (dict(steps=0), "`steps` must be at least 1. Received: steps=0"),
        (dict(batch_size=1), "`batch_size` must be at least 2. Received: batch_size=1"),
        (
            dict(optimizer="adam"),
            "`optimizer` must be one of auto, .*Received: optimizer='adam'",
        ),
        (
            dict(learning_rate=0.0),
            "`learning_rate` must be positive. Received: learning_rate=0.0",
        ),
        (
            dict(crop_area_min=2.0),
            r"`crop_area_min` must be in \(0, 1\]. Received: crop_area_min=2.0",
        ),
    ],
)
def test_settings_are_checked(settings, text):
    with pytest.raises(InputError, match=text):
        TrainingSettings(**settings)
