"""The commands that work on a run directory."""
