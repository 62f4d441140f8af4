"""Distillation and quantization-aware training of a student, and the bundle that comes of it."""
