"""Exported encoders and what they embed."""
