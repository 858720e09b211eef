"""Matching, accounts and the counters' ways."""
