"""The contrastive loss and its metrics, over all replicas."""
