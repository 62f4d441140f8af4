"""Devices: what a machine tells of its clocks, heat and power, and what its hardware could do at best."""
