"""COLMAP database, geometric verification and mapping through pycolmap."""
