"""Formats of other tools, reading and writing."""
