"""The Keras model, its optimizers, schedules and checkpoints, and `verify_replicas`."""
