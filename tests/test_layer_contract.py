"""Every public layer, loss, optimizer and schedule keeps the contract of Keras."""

import keras
import layer_contract as contract
import numpy as np
import pytest
import tensorflow as tf
from layer_contract import Case

import simclr_keras as sk
from simclr_keras.keras_versions import KERAS_3
from simclr_keras.networks.batch_normalization import BatchNormalization
from simclr_keras.networks.convolution import Convolution2D
from simclr_keras.networks.strided_convolution import StridedConv2D
from simclr_keras.registered import SAVED_CLASSES


def _head(normalization, trainable, others):
    arguments = dict(output_dim=6, num_layers=3, hidden_dim=8, normalization=normalization)
    return Case(sk.ProjectionHead, arguments, (16, 8), ((16, 6),), trainable, others)


AUGMENTER = dict(
    image_size=8,
    color_jitter_strength=0.5,
    blur=False,
    flip=False,
    crop_area=(0.2, 0.9),
    color_jitter_probability=0.7,
    grayscale_probability=0.3,
    vertical_flip=True,
    quarter_turns=True,
    solarize_probability=0.2,
    blur_probability=0.4,
    extra_layers=[keras.layers.Rescaling(0.5)],
    crop_aspect=(0.8, 1.2),
    color_jitter=(0.7, 0.6, 0.5, 0.1),
    brightness="additive",
    blur_sigma=(0.2, 1.0),
    interpolation="bicubic",
    value_range=(0.0, 2.0),
    views=3,
)
CASES = {
    "head": _head("group", 8, 0),
    "head with biases": _head("none", 6, 0),
    "augmenter": Case(
        sk.SimCLRAugmenter,
        AUGMENTER,
        (2, 12, 10, 3),
        ((2, 8, 8, 3),) * 3,
        options={"seed": (0, 1), "first_position": 3},
        in_float32=True,
    ),
    "two views": Case(
        sk.TwoViews,
        dict(augmentation=keras.layers.Rescaling(0.5)),
        (2, 8, 8, 3),
        ((2, 8, 8, 3), (2, 8, 8, 3)),
        in_float32=True,
    ),
    "batch norm": Case(
        BatchNormalization,
        dict(momentum=0.8, epsilon=0.01, synchronized=True),
        (4, 5, 5, 3),
        ((4, 5, 5, 3),),
        2,
        2,
    ),
    "convolution": Case(
        Convolution2D,
        dict(filters=4, kernel_size=(3, 3), strides=(2, 2), padding="same"),
        (2, 7, 6, 3),
        ((2, 4, 3, 4),),
        2,
    ),
    "strided convolution": Case(
        StridedConv2D,
        dict(filters=4, kernel_size=(1, 1), strides=(2, 2)),
        (2, 7, 6, 3),
        ((2, 4, 3, 4),),
        2,
    ),
}
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
LEARNING = [name for name, case in CASES.items() if case.trainable]


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_arguments_survive(case):
    contract.check_arguments(case.of, case.arguments)


@pytest.mark.slow
def test_the_revived_layer_computes_the_same(case):
    contract.check_outputs_of_revived(case)


@pytest.mark.parametrize("policy", POLICIES)
def test_shapes_and_dtypes(case, policy):
    contract.check_shapes_and_dtypes(case, policy)


def test_weights(case):
    contract.check_weights(case)


@pytest.mark.parametrize(
    "name, training",
    [(name, False) for name in CASES] + [(name, True) for name in LEARNING],
)
def test_eager_equals_traced(name, training):
    contract.check_eager_and_traced(CASES[name], training)


@pytest.mark.parametrize("name", LEARNING)
def test_every_weight_learns(name):
    contract.check_every_weight_learns(CASES[name])


def test_symbolic_shapes(case):
    contract.check_symbolic(case)


def test_saved_in_a_model(case, tmp_path):
    contract.check_saved_in_a_model(case, tmp_path)


def test_the_head_stops_at_a_middle_layer_of_a_functional_model():
    features = keras.Input((8,))
    head = sk.ProjectionHead(6, num_layers=3, hidden_dim=5, normalization="none")
    widths = [head(features, layers=count).shape[-1] for count in range(4)]
    assert widths == [8, 5, 5, 6]


@pytest.mark.slow
def test_views_of_a_functional_model_are_drawn_anew():
    images = keras.Input((12, 10, 3))
    model = keras.Model(images, sk.SimCLRAugmenter(8)(images))
    batch = np.random.default_rng(0).random((2, 12, 10, 3), "float32")
    first, second = (model.predict(batch, verbose=0)[0] for _ in range(2))
    assert np.abs(first - second).max() > 0.1


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The path of an exported encoder with 8 features, 2 trainable weights and 2 others."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(images)
    x = keras.layers.BatchNormalization(center=False)(x)
    features = keras.layers.GlobalAveragePooling2D()(x)
    path = tmp_path_factory.mktemp("saved_models") / "tiny"
    return str(sk.export_encoder(keras.Model(images, features), path))


@pytest.mark.parametrize("check", sorted(n for n in vars(contract) if n.startswith("check_")))
def test_exported_encoder(check, exported, tmp_path):
    arguments = {"model_path": exported, "trainable": True}
    case = Case(sk.ExportedEncoder, arguments, (4, 16, 16, 3), ((4, 8),), 2, 2, in_float32=True)
    choices = {
        "check_arguments": [(case.of, arguments)],
        "check_shapes_and_dtypes": [(case, p) for p in POLICIES],
        "check_eager_and_traced": [(case, False), (case, True)],
        "check_saved_in_a_model": [(case, tmp_path)],
    }
    for given in choices.get(check, [(case,)]):
        getattr(contract, check)(*given)


PROJECTIONS = np.random.default_rng(0).standard_normal((2, 6, 4)).astype("float32")
LOSS = dict(temperature=0.5, decoupled=True, reduction="sum", name="contrast")


def test_loss_keeps_its_arguments():
    contract.check_arguments(sk.NTXentLoss, LOSS)
    loss = sk.NTXentLoss(**LOSS)
    contract.assert_equal(contract.revived(loss)(*PROJECTIONS), loss(*PROJECTIONS))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_loss_eager_equals_traced_in_any_precision(dtype):
    one, other = (tf.cast(projections, dtype) for projections in PROJECTIONS)
    loss = sk.NTXentLoss(0.5)
    eager = loss(one, other)
    assert eager.shape == () and eager.dtype == tf.float32
    contract.assert_equal(tf.function(loss)(one, other), eager)
    contract.assert_equal(eager, loss(*PROJECTIONS), tolerance=0.05)


def test_loss_reductions():
    each, total, mean = (
        sk.NTXentLoss(reduction=name)(*PROJECTIONS)
        for name in ("none", "sum", "sum_over_batch_size")
    )
    assert each.shape == (6,)
    contract.assert_equal([total, mean], [tf.reduce_sum(each), tf.reduce_mean(each)])


SCHEDULE = dict(peak_learning_rate=0.5, total_steps=10, warmup_steps=3)
OPTIMIZERS = [
    (
        sk.LARS,
        dict(
            learning_rate=sk.WarmupCosine(**SCHEDULE),
            momentum=0.8,
            weight_decay=0.01,
            trust_coefficient=0.1,
            min_rank=1,
            name="layerwise",
        ),
    ),
    (
        sk.Muon,
        dict(
            learning_rate=sk.WarmupCosine(**SCHEDULE),
            momentum=0.8,
            weight_decay=0.01,
            iterations_of_newton_schulz=3,
            beta_1=0.8,
            beta_2=0.95,
            epsilon=1e-5,
            name="orthogonal",
        ),
    ),
]
of_optimizers = pytest.mark.parametrize("kind, arguments", OPTIMIZERS, ids=["lars", "muon"])


def test_schedule():
    schedule = sk.WarmupCosine(**SCHEDULE)
    contract.check_arguments(sk.WarmupCosine, SCHEDULE)
    steps = range(12)
    eager = [schedule(step) for step in steps]
    contract.assert_equal([contract.revived(schedule)(step) for step in steps], eager)
    traced = tf.function(schedule)
    contract.assert_equal([traced(tf.constant(step, tf.int64)) for step in steps], eager)


@of_optimizers
def test_optimizer_keeps_its_arguments(kind, arguments):
    contract.check_arguments(kind, arguments)


def _trained(optimizer, steps=2, **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer, "mse", **options)
    data = np.random.default_rng(0).random((8, 3)), np.ones((8, 2))
    model.fit(*data, epochs=steps, batch_size=8, verbose=0)
    return model, data


@pytest.mark.slow
@of_optimizers
@pytest.mark.parametrize("policy", POLICIES)
def test_optimizer_eager_traced_and_revived_train_alike(policy, kind, arguments):
    keras.mixed_precision.set_global_policy(policy)
    model, _ = _trained(kind(**arguments))
    eager, _ = _trained(kind(**arguments), run_eagerly=True)
    revived, _ = _trained(contract.revived(kind(**arguments)))
    untrained, _ = _trained(kind(**arguments), steps=0)
    for other in (eager, revived):
        contract.assert_equal(other.get_weights(), model.get_weights(), tolerance=1e-3)
    assert np.abs(untrained.get_weights()[0] - model.get_weights()[0]).max() > 1e-2


@of_optimizers
def test_a_saved_optimizer_goes_on(tmp_path, kind, arguments):
    model, data = _trained(kind(**arguments))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        each.fit(*data, batch_size=8, verbose=0)
    contract.assert_equal(loaded.get_weights(), model.get_weights())
    assert isinstance(loaded.optimizer, kind)


@pytest.mark.skipif(
    not KERAS_3, reason="Keras 2.15 shows `multiple` for layers it did not call"
)
def test_a_summary_knows_the_shapes_of_both_networks(capsys):
    encoder = sk.build_encoder(
        "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
    )
    sk.SimCLR(encoder, sk.ProjectionHead(16), sk.SimCLRAugmenter(16)).summary()
    printed = capsys.readouterr().out
    assert "(None, 64)" in printed and "(None, 16)" in printed


def test_every_saved_class_is_tested():
    tested = {case.of.__name__ for case in CASES.values()}
    tested |= {kind.__name__ for kind, _ in OPTIMIZERS}
    tested |= {"ExportedEncoder", "NTXentLoss", "WarmupCosine"}
    # training/test_saved_model.py and networks/test_encoder.py
    assert tested | {"SimCLR", "Encoder"} == set(SAVED_CLASSES)
