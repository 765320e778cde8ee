"""GCM's matching without its networks: dense, from coarse cells to finer ones, and the plane in between."""
