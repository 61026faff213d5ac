"""Pretrain in Python on every GPU of this machine, or without GPUs on four logical CPU devices.

    python examples/several_gpus.py --steps 20

Shows what `simclr-keras pretrain --strategy mirrored` does for you: the model and its optimizer
are built in the strategy's scope, the batch is the global one, and everything else is as on one
device. Trains on handwritten digits; takes minutes on two CPU cores. After 20 steps the loss
has hardly moved from 5.0: the example shows that four replicas train, not that they learn.
"""

import argparse

import keras
import tensorflow as tf

import simclr_keras as sk

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=64)  # over all replicas
arguments = parser.parse_args()

# 1. Devices, before anything else. Without a GPU: four logical devices on one CPU.
if not tf.config.list_physical_devices("GPU"):
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * 4
    tf.config.set_logical_device_configuration(cpu, devices)
strategy = sk.choose_strategy("mirrored")
print(f"{strategy.num_replicas_in_sync} replicas")

# 2. The model, in the strategy's scope. Negatives and batch norm span all replicas.
keras.utils.set_random_seed(0)
with strategy.scope():
    encoder = sk.build_encoder(
        "simclr_resnet18", 8, width_multiplier=0.125, small_image_stem=True
    )
    augmenter = sk.SimCLRAugmenter(8, color_jitter_strength=0.5, blur=False, flip=False)
    model = sk.SimCLR(encoder, sk.ProjectionHead(64), augmenter, temperature=0.5)
    model.compile(keras.optimizers.Adam(2e-3))

# 3. Data: each replica reads its own rows of the global batch, in the same order as one device.
source = sk.load_source("digits", "train")


def rows_of_batches(first_position, rows):
    return sk.pretraining_dataset(
        source,
        arguments.batch_size,
        seed=0,
        first_step=0,
        num_steps=arguments.steps,
        first_position=first_position,
        rows=rows,
    )


dataset = sk.distribute_rows(strategy, arguments.batch_size, rows_of_batches)
model.fit(dataset, steps_per_epoch=arguments.steps, epochs=1, verbose=2, shuffle=False)
