"""Limits of what may be sent, and the switch that closes everything."""
