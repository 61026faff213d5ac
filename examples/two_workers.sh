#!/usr/bin/env bash
# Two workers on this machine, over loopback: try multi-worker training without a cluster.
#
#     bash examples/two_workers.sh runs/two_workers
#
# Each worker gets the same command; TF_CONFIG gives its identity. Only the first, the chief,
# writes the run directory, which all workers must be able to read. If a worker dies, the run ends;
# start this script again to continue it. Takes a minute on two cores; the loss falls from about 5
# to 4.6, below the 4.84 of collapse.
set -euo pipefail
run=${1:-runs/two_workers}
workers='"localhost:23451", "localhost:23452"'
for index in 0 1; do
  TF_CONFIG='{"cluster": {"worker": ['$workers']}, "task": {"type": "worker", "index": '$index'}}' \
    simclr-keras pretrain --dataset digits --encoder simclr_resnet18 --width-multiplier 0.125 \
    --small-image-stem --image-size 8 --no-flip --no-blur --batch-size 64 --steps 100 \
    --temperature 0.5 --crop-area-min 0.6 --optimizer adamw --learning-rate 2e-3 \
    --strategy multi-worker --run-dir "$run" &
done
wait -n && wait -n  # fails as soon as one worker does
