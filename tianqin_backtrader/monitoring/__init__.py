"""Monitoring of a running program: health, metrics, alerts, the live page."""
