"""MOPS for trigpoint. The workflow reads this row before its first job, so nothing heavy is imported here."""

from trigpoint.methods.base import MethodEntry

ENTRY = MethodEntry("trigpoint_mops.method:Mops", "feature", licence="Apache-2.0 (OpenCV)", speed="fast")
