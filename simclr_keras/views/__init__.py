"""The two random views of each image."""
