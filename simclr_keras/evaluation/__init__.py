"""Measures the quality of frozen features."""
