"""From bytes on a disk to batches of images."""
