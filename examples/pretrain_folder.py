"""Pretrain on a folder of images, evaluate, export, and embed the folder.

    python examples/pretrain_folder.py photos/ --steps 200

Shows the whole pipeline in Python: the functions that `simclr-keras pretrain`, `evaluate`,
`export` and `embed` call. A real run needs thousands of steps; 200 show that the loss falls.
Sub-folders are classes; only `evaluate` needs them.
"""

import argparse

import simclr_keras as sk

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--run-dir", default="runs/example")
arguments = parser.parse_args()

# 1. Settings. Images are cropped from their full resolution to 64 x 64 views.
config = sk.PretrainConfig(
    dataset=arguments.folder,
    run_dir=arguments.run_dir,
    encoder="simclr_resnet18",
    width_multiplier=0.5,
    image_size=64,
    batch_size=64,
    steps=arguments.steps,
    optimizer="adamw",
    learning_rate=1e-3,
)

# 2. Pretraining without labels. Calling it again continues an interrupted run.
print(sk.pretrain(config))

# 3. How good are the frozen features? Needs class folders.
try:
    results = sk.evaluate(sk.EvaluateConfig(arguments.run_dir, compare_random=True))
    print(f"kNN {results['knn_accuracy']:.3f}, linear {results['linear_accuracy']:.3f}")
except sk.InputError as error:
    print(error)

# 4. A SavedModel for TensorFlow Serving, and the folder's embeddings computed with it.
model = sk.export(sk.ExportConfig(arguments.run_dir, output="saved_models/example"))
config = sk.EmbedConfig(str(model), arguments.folder, output="embeddings.npz")
print(sk.embed(config).embeddings.shape)
