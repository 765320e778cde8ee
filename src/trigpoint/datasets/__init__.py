"""Adapters that turn raw dataset trees into one description."""
