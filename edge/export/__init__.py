"""From a Q/DQ graph to each target's own format."""
