"""Exports, finds and serves SavedModels, and loads them as layers."""
