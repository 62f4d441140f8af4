"""The training methods, one per file: a network, what it is trained on, and its objective."""
