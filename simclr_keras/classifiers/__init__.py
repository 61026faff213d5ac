"""Trains classifiers, by fine-tuning on labels and by distillation."""
