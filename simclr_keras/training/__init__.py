"""The Keras model, its optimizers, schedules and checkpoints, and the check of its replicas."""
