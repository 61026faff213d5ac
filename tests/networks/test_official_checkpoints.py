"""Checkpoints as the original release writes them: its own fixtures, and small ones made here."""

import functools
import io
import re
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import ROOT

from simclr_keras import load_official_checkpoint
from simclr_keras.errors import InputError
from simclr_keras.networks.release_names import release_names
from simclr_keras.networks.resnet import BLOCK_GROUPS, simclr_resnet

FIXTURES = ROOT.parent / "shared" / "fixtures" / "official_checkpoints"


def fixture(name):
    archive = FIXTURES / f"{name}.tar.gz"
    if not archive.exists():
        pytest.skip(f"the fixtures are not beside the checkout ({archive})")
    return archive, np.load(FIXTURES / f"{name}_io.npz")


@pytest.mark.slow
@pytest.mark.parametrize("name, depth", [("r18_1x_sk0", 18), ("r50_1x_sk1", 50)])
def test_fixtures_of_the_release_give_its_outputs(name, depth):
    archive, expected = fixture(name)
    encoder, head, linear_head = load_official_checkpoint(archive)
    assert encoder.name == f"simclr_resnet{depth}" and head.num_layers == 3
    groups = [encoder.get_layer(f"block_group{i}").output for i in (1, 2, 3, 4)]
    network = keras.Model(encoder.input, [*groups, encoder.output])
    *groups, features = network(expected["images"], training=False)
    means = [np.mean(group, axis=(1, 2, 3)) for group in groups]
    for ours, theirs in (
        (features, "final_avg_pool"),
        (head(features), "proj_head_output"),
        (linear_head(features), "logits_sup"),
        (means, "block_group_means"),
    ):
        np.testing.assert_allclose(ours, expected[theirs], rtol=0, atol=1e-5, err_msg=theirs)


@functools.cache
def _shapes(*arguments):
    """Those of the weights of a ResNet, and its number of features."""
    network = simclr_resnet(*arguments)
    shapes = {x.name: [tuple(w.shape) for w in x.weights] for x in network.layers}
    return shapes, network.output_shape[1]


class Checkpoint:
    """A small checkpoint in the layout of the release's SavedModels; its arrays are random.

    A tf.Module of nothing but named variables stands for the release's model: what
    distinguishes the layout are the `full_name`s in the object graph.
    """

    def __init__(
        self, depth, width=0.125, small=True, ratio=0.0, channels=3, head=3, classes=4
    ):
        shapes, features = _shapes(depth, channels, width, small, ratio)
        shapes = dict(shapes)
        for index in range(head):
            units = 16 if index == head - 1 else features
            shapes[f"dense_{index}"] = [(features, units)]
            shapes[f"norm_{index}"] = [(units,)] * (3 if index == head - 1 else 4)
        shapes["head_supervised"] = [(features, classes), (classes,)]
        rng = np.random.default_rng(0)
        self.arrays = {
            name: rng.uniform(0.5, 1.5, shape).astype("float32")
            for layer, names in release_names(depth, small, ratio > 0, head).items()
            if classes or layer != "head_supervised"
            for name, shape in zip(names, shapes[layer], strict=True)
        }

    def module(self, rename=lambda name: name):
        module = tf.Module()
        module.model = [tf.Variable(a, name=rename(name)) for name, a in self.arrays.items()]
        return module

    def write(self, folder, rename=lambda name: name, folders="variables"):
        """Writes the `variables/` part alone, which is much faster than a SavedModel."""
        checkpoint = tf.train.Checkpoint(model=self.module(rename).model)
        checkpoint.write(str(folder / folders / "variables"))
        return folder


def same_as(checkpoint, loaded):
    """Whether every array of a checkpoint is in the networks, once."""
    encoder, head, linear_head = loaded
    parts = [part for part in (encoder, head, linear_head) if part is not None]
    ours = sorted(float(np.sum(w)) for part in parts for w in part.get_weights())
    theirs = sorted(float(np.sum(a)) for a in checkpoint.arrays.values())
    return len(ours) == len(theirs) and np.allclose(ours, theirs, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "depth, options",
    [
        (18, {}),
        (18, {"small": False, "ratio": 0.0625}),
        (34, {"small": False, "channels": 4}),
        (50, {"width": 0.25, "head": 2}),
        (50, {"small": True, "ratio": 0.0625, "classes": 0}),
        pytest.param(
            50,
            {"small": False, "ratio": 0.5, "width": 0.25, "head": 0},
            marks=pytest.mark.slow,
        ),
        pytest.param(101, {"ratio": 0.0625}, marks=pytest.mark.slow),
        pytest.param(152, {"small": False, "ratio": 0.0625}, marks=pytest.mark.slow),
        pytest.param(200, {}, marks=pytest.mark.slow),
    ],
)
def test_works_out_the_networks(tmp_path, depth, options):
    checkpoint = Checkpoint(depth, **options)
    loaded = load_official_checkpoint(checkpoint.write(tmp_path))
    assert same_as(checkpoint, loaded)
    width, channels = options.get("width", 0.125), options.get("channels", 3)
    features = int(width * (2048 if BLOCK_GROUPS[depth][1] else 512))
    assert loaded.encoder.output_shape == (None, features)
    assert loaded.encoder.input_shape == (None, None, None, channels)
    strided = [x for x in loaded.encoder.layers if x.name == "initial_max_pool"]
    assert bool(strided) is not options.get("small", True)
    assert getattr(loaded.projection_head, "num_layers", 0) == options.get("head", 3)
    assert (loaded.linear_head is None) is (options.get("classes") == 0)


@pytest.mark.slow
def test_each_variable_is_in_its_place(tmp_path):
    checkpoint = Checkpoint(50, ratio=0.0625)
    loaded = load_official_checkpoint(checkpoint.write(tmp_path))
    block = "resnet/block_group2/bottleneck_block_3/sk__conv2d_3"
    for layer, index, name in (
        # By hand, from the release's constructors: stem, then 5, 3 x 4 ... as in its fixture.
        ("initial_conv", 0, "resnet/conv2d_fixed_padding/conv2d/kernel"),
        ("block_group2_block1_mix1", 0, f"{block}/conv2d_20/kernel"),
        ("block_group2_block1_mix2", 0, f"{block}/conv2d_21/kernel"),
        (
            "block_group2_block1_mix_norm",
            3,
            f"{block}/batch_norm_relu_17/batch_normalization_17/moving_variance",
        ),
    ):
        array = loaded.encoder.get_layer(layer).get_weights()[index]
        np.testing.assert_array_equal(array, checkpoint.arrays[name])
    kernel = checkpoint.arrays["projection_head/nl_1/dense_1/kernel"]
    np.testing.assert_array_equal(
        loaded.projection_head.dense_layers[1].get_weights()[0], kernel
    )


@pytest.mark.parametrize(
    "rename",
    [
        # global_bn in the release is another layer class
        lambda name: name.replace("/batch_normalization", "/sync_batch_normalization"),
        # another model was made before in the same process
        lambda name: re.sub(
            r"(?<=/)(conv2d_fixed_padding|conv2d|batch_norm_relu|batch_normalization|dense)"
            r"(?:_(\d+))?(?=/)",
            lambda m: f"{m[1]}_{int(m[2] or 0) + 9}",
            name,
        ),
    ],
)
def test_other_names_that_mean_the_same(tmp_path, rename):
    checkpoint = Checkpoint(18)
    assert same_as(checkpoint, load_official_checkpoint(checkpoint.write(tmp_path, rename)))


KERNEL = "resnet/block_group3/residual_block_4/conv2d_fixed_padding_13/conv2d_13/kernel"
GAMMA = "projection_head/nl_1/batch_norm_relu_22/batch_normalization_22/gamma"


@pytest.mark.parametrize(
    "name",
    [
        KERNEL,
        GAMMA,
        "head_supervised/linear_layer/dense_3/bias",
        "resnet/conv2d_fixed_padding/conv2d/kernel",
        "resnet/batch_norm_relu/batch_normalization/moving_mean",
    ],
)
def test_missing_variables_are_named(tmp_path, name):
    checkpoint = Checkpoint(18)
    del checkpoint.arrays[name]
    with pytest.raises(InputError, match=re.escape(f"1 missing: {name}. Received: path=")):
        load_official_checkpoint(checkpoint.write(tmp_path))


def test_a_missing_block_is_named(tmp_path):
    checkpoint = Checkpoint(18)
    block = "resnet/block_group4/residual_block_7/"
    checkpoint.arrays = {n: a for n, a in checkpoint.arrays.items() if not n.startswith(block)}
    with pytest.raises(InputError, match=re.escape(f"10 missing: {block}")):
        load_official_checkpoint(checkpoint.write(tmp_path))


@pytest.mark.parametrize(
    "name", ["resnet/block_group1/residual_block/se__layer/conv2d_40/bias", "global_step"]
)
def test_left_over_variables_are_named(tmp_path, name):
    checkpoint = Checkpoint(18)
    checkpoint.arrays[name] = np.zeros((3,), "float32")
    with pytest.raises(InputError, match=re.escape(f"1 unexpected: {name}. Received: path=")):
        load_official_checkpoint(checkpoint.write(tmp_path))


@pytest.mark.parametrize(
    "name, shape",
    [(KERNEL, (3, 3, 32, 31)), (GAMMA, (63,)), (KERNEL, (2,)), (KERNEL, ())],
)
def test_misshapen_variables_are_named(tmp_path, name, shape):
    checkpoint = Checkpoint(18)
    right = checkpoint.arrays[name].shape
    checkpoint.arrays[name] = np.zeros(shape, "float32")
    message = f"1 of the wrong shape: {name} {shape} instead of {right}. Received: path="
    with pytest.raises(InputError, match=re.escape(message)):
        load_official_checkpoint(checkpoint.write(tmp_path))


@pytest.mark.parametrize(
    "folders", ["variables", "saved_model/variables", "saved_model/7/variables"]
)
def test_finds_the_variables(tmp_path, folders):
    checkpoint = Checkpoint(18, head=0, classes=0)
    checkpoint.write(tmp_path, folders=folders)
    for path in (tmp_path, (tmp_path / folders).parent, tmp_path / folders):
        assert same_as(checkpoint, load_official_checkpoint(path))


def test_archives(tmp_path):
    checkpoint = Checkpoint(18, head=0, classes=0)
    checkpoint.write(tmp_path)
    archive = tmp_path / "r18.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(
            tmp_path / "variables", "../../r18/variables"
        )  # out of any folder: stays inside
        extra = tarfile.TarInfo("../escaped.txt")
        tar.addfile(extra, io.BytesIO())
    assert same_as(checkpoint, load_official_checkpoint(archive))
    assert not (tmp_path.parent / "escaped.txt").exists()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(InputError, match="cut.tar.gz is not a complete .tar or .tar.gz"):
        load_official_checkpoint(cut)


def test_what_is_no_checkpoint_of_the_release(tmp_path):
    with pytest.raises(InputError, match="no checkpoint .* Received: path=.*missing"):
        load_official_checkpoint(tmp_path / "missing")
    (tmp_path / "model.ckpt-250228.index").write_bytes(b"")
    with pytest.raises(
        InputError, match="The TF1 and training checkpoints .* are not supported"
    ):
        load_official_checkpoint(tmp_path)
    for name in ("a", "b"):
        Checkpoint(18, head=0, classes=0).write(tmp_path / name)
    with pytest.raises(
        InputError, match="There are 2 checkpoints in .*a/variables, .*b/variables"
    ):
        load_official_checkpoint(tmp_path)
    other = Checkpoint(18, head=0, classes=0)
    other.arrays = {"generator/dense/kernel": np.zeros((2, 2), "float32")}
    with pytest.raises(InputError, match="holds no ResNet .* Received: generator/dense/kernel"):
        load_official_checkpoint(other.write(tmp_path / "other"))
    (tmp_path / "a" / "variables" / "variables.data-00000-of-00001").write_bytes(b"half")
    with pytest.raises(InputError, match="cannot be read; copy or download it again"):
        load_official_checkpoint(tmp_path / "a")


def test_a_whole_savedmodel_is_read_without_its_graph(tmp_path):
    checkpoint = Checkpoint(18, head=0, classes=0)
    tf.saved_model.save(checkpoint.module(), str(tmp_path))
    (tmp_path / "saved_model.pb").write_bytes(b"a graph that nobody can read")
    assert same_as(checkpoint, load_official_checkpoint(tmp_path))
