"""Files on disk: whole or not at all, versioned, readable by other tools."""
