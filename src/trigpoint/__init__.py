"""trigpoint: photographs to 3D maps and camera poses, with any matching method."""

__version__ = "0.1.0"
