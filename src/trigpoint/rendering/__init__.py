"""A procedural old town, photographed by day and by night, with exact camera poses (Mitsuba 3 is an optional extra)."""
