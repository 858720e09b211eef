"""Contracts and the exchanges' rules for them: offsets, lots, prices, time in force, fees."""
