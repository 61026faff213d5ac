#!/usr/bin/env bash
# A small folder of photos from nothing: how far do 140 images of each of ten classes lead?
#
#     bash examples/recipes/photos_few_labels.sh photos/ runs/photos
#
# `photos/train/CLASS/` and `photos/test/CLASS/` hold the images. A quarter-width ResNet-18 on 64
# pixels is pretrained on the training part alone: 1,000 steps of 128, nine minutes on two CPU
# cores that had other work. Then linear evaluation, a learning curve on frozen features, and
# fine-tuning beside training from scratch with 5, 20 and 140 labels per class.
set -euo pipefail
photos=${1:?the folder of images} run=${2:-runs/photos}

simclr-keras pretrain --dataset "$photos" --encoder simclr_resnet18 --width-multiplier 0.25 \
  --image-size 64 --batch-size 128 --temperature 0.2 --projection-layers 3 \
  --optimizer adamw --learning-rate 2e-3 --steps 1000 --run-dir "$run"

simclr-keras evaluate "$run" --compare-random --learning-curve

python "$(dirname "$0")/../label_efficiency.py" "$run" \
  --per-class 5 20 140 --draws 3 --steps 200 --batch-size 32 --validation-fraction 0
