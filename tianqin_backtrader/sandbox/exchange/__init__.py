"""Matching, accounts, and how the counters behave."""
