"""Base encoders and the projection head."""
