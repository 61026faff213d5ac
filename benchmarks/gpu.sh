#!/usr/bin/env bash
# All measurements on a machine with one or more GPUs, in one results file.
#
#     pip install "simclr_keras[gpu]"     # TensorFlow with CUDA
#     bash benchmarks/gpu.sh --output gpu.json [--data-dir ~/tensorflow_datasets]
#
# Takes about two hours on one GPU, most of it for CIFAR-10; `--only step input` runs parts.
# `--toy` runs everything in minutes at toy size on two logical CPU devices, without a GPU.
set -euo pipefail
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv
exec python "$(dirname "$0")/gpu.py" "$@"
