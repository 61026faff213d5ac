"""A training step of lightly's SimCLR, on views that are ready or that it makes; see ../step.py.

Runs in an environment with lightly and PyTorch. Prints the seconds of each step as JSON.
"""

import argparse
import json
import time

import numpy as np
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import nn

BATCH, SIZE, WIDTH, WARM = 256, 32, 16, 3


class Block(nn.Module):
    """A basic block, as in ../../simclr_keras/networks/resnet.py."""

    def __init__(self, inputs: int, filters: int, stride: int, is_first: bool):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, filters, 3, stride, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.shortcut = nn.Identity()
        if is_first:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def encoder() -> nn.Module:
    """ResNet-18 of quarter width with the small-image stem."""
    layers = [nn.Conv2d(3, WIDTH, 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(True)]
    inputs = WIDTH
    for group in range(4):
        for index in range(2):
            filters, stride = WIDTH * 2**group, 2 if index == 0 and group else 1
            layers.append(Block(inputs, filters, stride, index == 0))
            inputs = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Views(torch.utils.data.Dataset):
    """Two views of each image, uint8 `(N, 32, 32, 3)`: no blur, colour at half strength."""

    def __init__(self, images: np.ndarray, min_scale: float):
        self.images = images
        self.transform = SimCLRTransform(
            input_size=SIZE, cj_strength=0.5, gaussian_blur=0.0, min_scale=min_scale
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.transform(Image.fromarray(self.images[index]))


def batches(views: Views, batch_size: int, workers: int):
    """Batches of two views without end, made in processes."""
    loader = torch.utils.data.DataLoader(
        views,
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        yield from loader


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--make-views", action="store_true", help="in two processes")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    features = 8 * WIDTH
    network, head = encoder(), SimCLRProjectionHead(features, features, 128)
    network = network.to(memory_format=torch.channels_last)
    criterion = NTXentLoss(temperature=0.2)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=4e-3)
    views = torch.rand(2 * BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    made = None
    if arguments.make_views:
        shape = (BATCH * (arguments.steps + WARM), SIZE, SIZE, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
        made = batches(Views(images, min_scale=0.2), BATCH, workers=2)
    seconds = []
    for _ in range(arguments.steps + WARM):
        began = time.perf_counter()
        if made:
            views = torch.cat(next(made)).to(memory_format=torch.channels_last)
        with torch.autocast(
            "cpu", dtype=torch.bfloat16, enabled=arguments.precision == "bfloat16"
        ):
            projections = head(network(views))
        first, second = projections.float().chunk(2)
        loss = criterion(first, second)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds[WARM:]))


if __name__ == "__main__":
    main()
