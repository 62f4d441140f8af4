"""Training objectives for quality without human scores, one file per method."""
