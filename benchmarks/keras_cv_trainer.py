"""Speed of `fit` against KerasCV's `SimCLRTrainer`, on the `addons` stack.

    python benchmarks/keras_cv_trainer.py

KerasCV 0.9's trainer runs on Keras 2 only. Both train the same network (a SimCLR ResNet-18 of
quarter width with the small-image stem) with views of their own (crop, flip, colour jitter,
grayscale), NT-Xent and Adam on the same uint8 images of 32 pixels in memory, a batch of 256. Each
runs in its own process, in turns; the table has the median of images/s over the rounds, and the
median of their ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from timed_fit import seconds_of_steps

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BATCH, SIZE, WARM = 256, 32, 3
CASES = ("simclr_keras", "KerasCV")


def model_of(case: str):
    import keras
    import keras_cv
    from keras_cv.src.training.contrastive.simclr_trainer import SimCLRAugmenter, SimCLRTrainer

    import simclr_keras as sk

    keras.utils.set_random_seed(0)
    encoder = sk.build_encoder(
        "simclr_resnet18", SIZE, width_multiplier=0.25, small_image_stem=True
    )
    if case == "simclr_keras":
        augmenter = sk.SimCLRAugmenter(SIZE, blur=False)
        model = sk.SimCLR(encoder, sk.ProjectionHead(128), augmenter, temperature=0.2)
        model.compile(keras.optimizers.Adam(1e-3))
        return model
    augmenter = SimCLRAugmenter(value_range=(0, 255), height=SIZE, width=SIZE)
    rescaled = keras.Sequential([keras.layers.Rescaling(1 / 255), encoder])
    rescaled.build((None, SIZE, SIZE, 3))
    trainer = SimCLRTrainer(rescaled, augmenter)
    trainer.compile(
        encoder_optimizer=keras.optimizers.Adam(1e-3),
        encoder_loss=keras_cv.losses.SimCLRLoss(temperature=0.2),
    )
    return trainer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--measure", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        import numpy as np

        shape = (BATCH * (arguments.steps + WARM), SIZE, SIZE, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
        model = model_of(arguments.measure)
        print(json.dumps(seconds_of_steps(model, images, WARM, batch_size=BATCH)))
        return
    rates = {case: [] for case in CASES}
    for _ in range(arguments.rounds):
        for case in CASES:
            command = [sys.executable, __file__, "--steps", str(arguments.steps)]
            output = subprocess.run(
                [*command, "--measure", case], check=True, text=True, stdout=subprocess.PIPE
            ).stdout
            rates[case].append(BATCH / statistics.median(json.loads(output.splitlines()[-1])))
    print("| case | images/s | to KerasCV |\n|---|---|---|")
    for case in CASES:
        ratio = statistics.median(a / b for a, b in zip(rates[case], rates["KerasCV"]))
        print(f"| {case} | {statistics.median(rates[case]):.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
