"""Latency, score drift and agreement with human opinion: measuring, judging, reporting."""
