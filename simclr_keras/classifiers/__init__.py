"""Networks that are trained on labels: fine-tuned, and distilled from one another."""
