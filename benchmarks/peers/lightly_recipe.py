"""Pretrains with lightly's SimCLR for some minutes and saves the features of images; see ../recipes.py.

The network is the one of lightly_step.py. The recipe is lightly's for CIFAR-10 in its benchmark
(docs/source/getting_started/benchmarks/cifar10_benchmark.py): 128 images, two views without blur, SGD
of rate 0.06 with momentum 0.9, weight decay 5e-4 and a cosine, NT-Xent at its default temperature of 0.5;
colour jitter at strength 0.5, the paper's for CIFAR-10 (Appendix B.9).
In bfloat16, channels last, with two processes for the views. Runs in an environment with lightly and
PyTorch.
"""

import argparse
import math
import time

import numpy as np
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly_step import WIDTH, Views, batches, encoder

BATCH, RATE, TIMED = 128, 0.06, 20  # images, peak rate, steps at the full rate
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def train(images: np.ndarray, minutes: float, workers: int) -> tuple[torch.nn.Module, int]:
    """The encoder, and how many steps it made."""
    end = time.perf_counter() + 60 * minutes
    features = 8 * WIDTH
    network, head = encoder(), SimCLRProjectionHead(features, features, 128)
    network = network.to(memory_format=torch.channels_last)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, RATE, momentum=0.9, weight_decay=5e-4)
    criterion = NTXentLoss()
    made, began = 0, time.perf_counter()
    for first, second in batches(Views(images, min_scale=0.08), BATCH, workers):
        now = time.perf_counter()
        if now >= end:
            break
        if made == TIMED // 4:  # the processes have started
            began = now
        done = 0.0
        if made > TIMED:  # the share of the steps that fit into the time
            done = made / (made + (end - now) * (made - TIMED // 4) / (now - began))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * done)) / 2
        views = torch.cat([first, second]).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            projections = head(network(views))
        loss = criterion(*projections.float().chunk(2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        made += 1
    return network, made


@torch.no_grad()
def features_of(network: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """`(N, D)` of uint8 images `(N, 32, 32, 3)`."""
    network.eval()
    mean, deviation = (torch.tensor(x)[:, None, None] for x in (MEAN, DEVIATION))
    found = []
    for part in np.array_split(images, max(1, len(images) // 500)):
        pixels = torch.from_numpy(part).permute(0, 3, 1, 2).float() / 255
        found.append(network((pixels - mean) / deviation).numpy())
    return np.concatenate(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", help=".npz with uint8 `train` and `measured`")
    parser.add_argument("output", help=".npz for the features of both, and `steps`")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    images = np.load(arguments.images)
    network, steps = train(images["train"], arguments.minutes, arguments.workers)
    np.savez(
        arguments.output,
        steps=steps,
        **{name: features_of(network, images[name]) for name in ("train", "measured")},
    )


if __name__ == "__main__":
    main()
