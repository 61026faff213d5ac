"""`peak_memory` and `activation_memory`: how much memory training has needed, and will need."""

import sys

import keras
import tensorflow as tf

# What the gradients of an operation need: what goes in, or what comes out.
_INPUTS_KEPT = (
    "BatchMatMulV2",
    "Conv2D",
    "DepthwiseConv2dNative",
    "Einsum",
    "FusedBatchNormV3",
    "MatMul",
    "MaxPool",
)
_OUTPUTS_KEPT = (
    "Elu",
    "Erf",
    "MaxPool",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Tanh",
)


def activation_memory(encoder: keras.Model, image_size: int, images: int) -> int:
    """The bytes of the activations of a forward pass that the backward pass needs.

    An estimate, from the operations of the encoder: convolutions, products, normalisation and
    common nonlinearities.

    Args:
        encoder: The network, in the precision of training.
        image_size: Height and width of the images in pixels.
        images: Images in one pass: all views of each image of a batch or micro-batch.
    """
    shape = [images, image_size, image_size, encoder.input_shape[-1]]

    @tf.function
    def features(batch):
        return encoder(batch, training=True)

    graph = features.get_concrete_function(tf.TensorSpec(shape, encoder.compute_dtype)).graph
    kept = {
        tensor.ref(): tensor
        for operation in graph.get_operations()
        for tensor in (
            *(operation.inputs if operation.type in _INPUTS_KEPT else ()),
            *(operation.outputs if operation.type in _OUTPUTS_KEPT else ()),
        )
        if tensor.shape.is_fully_defined() and tensor.shape[:1] == [images]
    }
    return sum(t.shape.num_elements() * t.dtype.size for t in kept.values())


def peak_memory() -> float | None:
    """The most bytes in use so far, of the first GPU or of this process; `None` if not known."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
