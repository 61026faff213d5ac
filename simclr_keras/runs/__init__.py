"""What the commands do with a run directory."""
