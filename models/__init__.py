"""Quality networks, the degradations and full-reference metrics that supervise them, and teacher training."""
