"""Pretrain on a folder of images, evaluate, export, and embed the folder.

    python examples/pretrain_folder.py photos/ --steps 200

Shows the whole pipeline in Python: the functions that `simclr-keras pretrain`, `evaluate`,
`export`, `embed` and `search` call. A real run needs thousands of steps; 200 show that the loss falls.
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
    result = sk.evaluate(sk.EvaluateConfig(arguments.run_dir, compare="random"))
    print(f"kNN {result.knn_accuracy:.3f}, linear {result.linear_accuracy:.3f}")
except sk.InputError as error:
    print(error)

# 4. A SavedModel for TensorFlow Serving, and the folder's embeddings computed with it.
exported = sk.export(sk.ExportConfig(arguments.run_dir, output="saved_models/example"))
config = sk.EmbedConfig(exported.path, arguments.folder, output="embeddings.npz")
embedded = sk.embed(config)
print(embedded.embeddings.shape)

# 5. The images most similar to the first one, and a page that shows them.
found = sk.search(sk.SearchConfig(embedded.output, embedded.paths[:1], neighbours=5))
for match in found.rows[0].matches:
    print(f"{match.cosine:.3f}  {match.path}")
print(found.page)
