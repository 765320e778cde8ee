"""Correlation operations with interchangeable backends."""
