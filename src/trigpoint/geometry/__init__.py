"""Pixels, poses, epipolar geometry and pose metrics."""
