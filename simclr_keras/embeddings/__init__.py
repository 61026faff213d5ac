"""Embeds folders of images and searches the embeddings."""
