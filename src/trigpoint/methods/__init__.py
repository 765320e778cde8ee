"""Methods: one file, one class, one settings dataclass each."""
