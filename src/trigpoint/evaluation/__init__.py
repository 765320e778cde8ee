"""Metrics, one file for each protocol."""
