#!/usr/bin/env bash
# CIFAR-10 with 1 %, 10 % and 100 % of its labels: the SimCLR v2 pipeline on two CPU cores.
#
#     TFDS_DATA_DIR=~/tensorflow_datasets bash examples/recipes/cifar10_few_labels.sh runs/cifar10
#
# A quarter-width ResNet-18 with the small-image stem (0.7 M parameters) and a projection head of
# three layers; crops of at least 20 % of the image, jitter of strength 0.5, no blur (Appendix B.9
# of the paper). Pretraining: 3,000 steps of 256 images, 15 passes; 264 images/s on an idle
# machine, so about 50 minutes. Then a table of four methods with three label draws each: networks
# train for 500 steps of 64 images with AdamW, students for another 500; a cell takes 70 seconds.
# Finished parts are not repeated. The README has the results.
set -euo pipefail
run=${1:-runs/cifar10}

simclr-keras pretrain --dataset cifar10 --encoder simclr_resnet18 --width-multiplier 0.25 \
  --small-image-stem --image-size 32 --batch-size 256 --temperature 0.2 --crop-area-min 0.2 \
  --color-jitter-strength 0.5 --no-blur --projection-layers 3 \
  --optimizer adamw --learning-rate 4e-3 --warmup-fraction 0.05 --steps 3000 --run-dir "$run"

simclr-keras evaluate "$run" --compare random

# No validation part: every method uses all labels of a draw and keeps its last weights.
python "$(dirname "$0")/../label_efficiency.py" "$run" \
  --fractions 0.01 0.1 1.0 --draws 3 --steps 500 --batch-size 64 --validation-fraction 0
