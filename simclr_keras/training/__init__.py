"""The Keras model, its optimizer, schedules, strategies and checkpoints."""
