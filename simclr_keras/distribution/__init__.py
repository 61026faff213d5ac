"""Which devices and workers train together."""
