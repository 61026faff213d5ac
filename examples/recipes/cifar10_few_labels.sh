#!/usr/bin/env bash
# CIFAR-10 with 1 %, 10 % and 100 % of its labels: the SimCLR v2 pipeline on two CPU cores.
#
#     TFDS_DATA_DIR=~/tensorflow_datasets bash examples/recipes/cifar10_few_labels.sh runs/cifar10
#
# Pretraining is the preset small-cpu for 8,200 steps: the run of saved_models/cifar10-airbench.
# Then a table of four methods with three label draws each: networks train for 500 steps of 64
# images, students for another 500. Finished parts are not repeated. The README has the results.
set -euo pipefail
run=${1:-runs/cifar10}

simclr-keras pretrain --dataset cifar10 --preset small-cpu --steps 8200 --run-dir "$run"

simclr-keras evaluate "$run" --compare random

# No validation part: every method uses all labels of a draw and keeps its last weights.
python "$(dirname "$0")/../label_efficiency.py" "$run" \
  --fractions 0.01 0.1 1.0 --draws 3 --steps 500 --batch-size 64 --validation-fraction 0
