"""SavedModels: written, found, served and loaded as layers."""
