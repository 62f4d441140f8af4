"""The camera loop: sources, capture, policy, sinks, and what watches over them."""
