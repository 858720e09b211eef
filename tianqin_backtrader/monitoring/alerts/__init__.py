"""Alerts: what is worth one, when, and to whom."""
