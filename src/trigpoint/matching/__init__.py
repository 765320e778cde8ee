"""Matching descriptors and sharing keypoints between pairs."""
