"""Versions of the commands' numbers."""

# A rule passes it with its settings; raise it when a command's numbers change, so that finished runs are redone.
CODE_VERSIONS = {
    "prepare": 1,
    "list-pairs": 1,
    "extract-features": 1,
    "match-pairs": 1,
    "merge-keypoints": 2,
    "import-database": 1,
    "verify-pairs": 1,
    "map": 1,
    "localize": 1,
    "localize-dense": 1,
    "evaluate-dense": 1,
    "evaluate": 1,
    "report": 1,
    "read-flow": 1,
    "match-flow": 1,
    "evaluate-flow": 1,
    "evaluate-pairs": 1,
}
