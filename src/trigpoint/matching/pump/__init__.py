"""What PUMP does with the pyramid's answers: records of both sides, merging, crops, agreement, the filter after it."""
