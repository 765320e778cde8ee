"""torch modules whose parameter names are those of the official checkpoints."""
