"""Camera poses of queries in a map."""
