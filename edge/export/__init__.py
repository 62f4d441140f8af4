"""From the one Q/DQ graph to each target's own format."""
