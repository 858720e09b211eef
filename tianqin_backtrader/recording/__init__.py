"""Ticks and bars, recorded to Parquet."""
