"""The network of the SimCLR release in NumPy and float64: plain arrays, no Keras.

Written from the papers and the release's description of its layers; shares nothing with the
package but the names under which it is handed the weights.

N images, H x W positions, C channels.
"""

import numpy as np

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


def convolution(x, kernel, stride=1):
    """Padded by (k - 1) // 2 before and the rest after, whatever the size of the image."""
    size = kernel.shape[0]
    before = (size - 1) // 2
    pad = (before, size - 1 - before)
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
    patches = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    patches = patches[:, ::stride, ::stride]  # (N, H, W, C, k, k)
    return np.einsum("nhwcij,ijcf->nhwf", patches, kernel, optimize=True)


def norm(x, gamma, beta, mean, variance):
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def relu(x):
    return np.maximum(x, 0)


def max_pool(x):
    """3 x 3 with stride 2; the odd missing row and column is at the end."""
    height, width = x.shape[1:3]

    def pad(size):
        total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
        return total // 2, total - total // 2

    x = np.pad(x, ((0, 0), pad(height), pad(width), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return windows[:, ::2, ::2].max(axis=(-2, -1))


def average_pool(x, stride):
    """2 x 2. With stride 2 the padding counts as zeros; with stride 1 it does not count."""
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    ones = np.ones_like(x[:1, :, :, :1])
    if stride == 1:
        ones = np.pad(ones, ((0, 0), (0, 1), (0, 1), (0, 0)))
    else:
        ones = np.ones_like(padded[:1, :, :, :1])
    sums, counts = (
        np.lib.stride_tricks.sliding_window_view(a, (2, 2), axis=(1, 2)).sum(axis=(-2, -1))
        for a in (padded, ones)
    )
    return (sums / counts)[:, ::stride, ::stride]


def selective_kernel(x, stride, weights, scope):
    both = convolution(x, *weights[f"{scope}_conv2"], stride=stride)
    both = relu(norm(both, *weights[f"{scope}_norm2"]))
    filters = both.shape[-1] // 2
    streams = np.stack([both[..., :filters], both[..., filters:]])  # (2, N, H, W, F)
    pooled = streams.sum(axis=0).mean(axis=(1, 2), keepdims=True)
    hidden = convolution(pooled, *weights[f"{scope}_mix1"])
    hidden = relu(norm(hidden, *weights[f"{scope}_mix_norm"]))
    logits = convolution(hidden, *weights[f"{scope}_mix2"])
    logits = np.stack([logits[..., :filters], logits[..., filters:]])
    exponentials = np.exp(logits - logits.max(axis=0))
    return (streams * exponentials / exponentials.sum(axis=0)).sum(axis=0)


def resnet(images, weights, depth, small_image_stem=False, has_selective_kernel=False):
    """Inference.

    Args:
        images: `(N, H, W, C)`.
        weights: Layer name -> arrays.

    Returns:
        Features `(N, D)` and the output of each of the four block groups.
    """
    weights = {name: [np.asarray(w, np.float64) for w in ws] for name, ws in weights.items()}
    x = np.asarray(images, np.float64)
    if small_image_stem:
        x = convolution(x, *weights["initial_conv"])
    elif has_selective_kernel:
        for index, stride in ((1, 2), (2, 1)):
            x = convolution(x, *weights[f"stem_conv{index}"], stride=stride)
            x = relu(norm(x, *weights[f"stem_norm{index}"]))
        x = convolution(x, *weights["initial_conv"])
    else:
        x = convolution(x, *weights["initial_conv"], stride=2)
    x = relu(norm(x, *weights["initial_norm"]))
    if not small_image_stem:
        x = max_pool(x)
    groups = []
    for group, count in enumerate(BLOCKS[depth], start=1):
        for index in range(1, count + 1):
            scope = f"block_group{group}_block{index}"
            stride = 2 if group > 1 and index == 1 else 1
            shortcut = x
            if index == 1:
                pooled = average_pool(x, stride) if has_selective_kernel else x
                shortcut = convolution(
                    pooled,
                    *weights[f"{scope}_shortcut_conv"],
                    stride=1 if has_selective_kernel else stride,
                )
                shortcut = norm(shortcut, *weights[f"{scope}_shortcut_norm"])
            if depth < 50:
                x = convolution(x, *weights[f"{scope}_conv1"], stride=stride)
                x = relu(norm(x, *weights[f"{scope}_norm1"]))
                x = convolution(x, *weights[f"{scope}_conv2"])
                x = norm(x, *weights[f"{scope}_norm2"])
            else:
                x = convolution(x, *weights[f"{scope}_conv1"])
                x = relu(norm(x, *weights[f"{scope}_norm1"]))
                if has_selective_kernel:
                    x = selective_kernel(x, stride, weights, scope)
                else:
                    x = convolution(x, *weights[f"{scope}_conv2"], stride=stride)
                    x = relu(norm(x, *weights[f"{scope}_norm2"]))
                x = convolution(x, *weights[f"{scope}_conv3"])
                x = norm(x, *weights[f"{scope}_norm3"])
            x = relu(x + shortcut)
        groups.append(x)
    return x.mean(axis=(1, 2)), groups


def parameters(depth, width, has_selective_kernel=False, channels=3):
    """Parameters with the ImageNet stem, counted by hand from the layers' sizes.

    Batch norm counts four for each channel, its moving statistics included: so do SimCLR v2's
    published numbers (ResNet-152 2x: 232.25 million without them, 233 in the paper).
    """

    def layer(kernel, before, after):  # a convolution and its batch norm
        return kernel * kernel * before * after + 4 * after

    stem = int(64 * width)
    if has_selective_kernel:
        total = layer(3, channels, stem // 2) + layer(3, stem // 2, stem // 2)
        total += layer(3, stem // 2, stem)
    else:
        total = layer(7, channels, stem)
    before = stem
    for group, count in enumerate(BLOCKS[depth]):
        filters = int(64 * 2**group * width)
        after = filters if depth < 50 else 4 * filters
        total += layer(1, before, after)  # shortcut
        for _ in range(count):
            if depth < 50:
                total += layer(3, before, filters) + layer(3, filters, filters)
            else:
                total += layer(1, before, filters) + layer(1, filters, after)
                if has_selective_kernel:
                    hidden = max(int(filters / 16), 32)
                    total += layer(3, filters, 2 * filters) + layer(1, filters, hidden)
                    total += hidden * 2 * filters
                else:
                    total += layer(3, filters, filters)
            before = after
    return total


def projection_head(features, layers):
    """Each layer's output, the features first.

    Args:
        layers: For each layer its kernel and its batch norm's arrays (no beta on the last).
    """
    outputs = [np.asarray(features, np.float64)]
    for index, (kernel, normalisation) in enumerate(layers):
        x = outputs[-1] @ kernel
        if index < len(layers) - 1:
            outputs.append(relu(norm(x, *normalisation)))
        else:
            gamma, mean, variance = normalisation
            outputs.append(norm(x, gamma, 0.0, mean, variance))
    return outputs
