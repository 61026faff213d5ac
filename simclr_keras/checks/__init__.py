"""Checks data before it is trained on."""
