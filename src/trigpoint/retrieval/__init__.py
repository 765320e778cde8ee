"""Global descriptors from local ones, and top-k retrieval."""
