"""Recording of ticks and bars to Parquet files."""
