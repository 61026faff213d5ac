#!/usr/bin/env bash
# Pretraining on a small folder of photos: what do ten classes of 140 images each achieve?
#
#     bash examples/recipes/photos_few_labels.sh photos/ runs/photos
#
# `photos/train/CLASS/` and `photos/test/CLASS/` hold the images. A quarter-width ResNet-18 is
# pretrained at 64 pixels on the training part alone: 1,000 steps of 128 images, nine minutes on
# two busy CPU cores. Then follow linear evaluation, a learning curve on frozen features, and
# fine-tuning compared with training from scratch, with 5, 20 and 140 labels per class.
set -euo pipefail
photos=${1:?the folder of images} run=${2:-runs/photos}

simclr-keras pretrain --dataset "$photos" --encoder simclr_resnet18 --width-multiplier 0.25 \
  --image-size 64 --batch-size 128 --temperature 0.2 --projection-layers 3 \
  --optimizer adamw --learning-rate 2e-3 --steps 1000 --run-dir "$run"

simclr-keras evaluate "$run" --compare random --learning-curve

python "$(dirname "$0")/../label_efficiency.py" "$run" \
  --per-class 5 20 140 --draws 3 --steps 200 --batch-size 32 --validation-fraction 0
