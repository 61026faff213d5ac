"""Folders as embeddings, and what is near what in them."""
