"""A third party's method, as one is installed: this row is found through the entry point and loads nothing heavy."""

from trigpoint.methods.base import MethodEntry

ENTRY = MethodEntry("trigpoint_sift_pairs.method:SiftPairs", "pair", weights_setting="checkpoint")
