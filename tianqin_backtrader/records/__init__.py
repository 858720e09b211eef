"""What is kept of a run: the journal, its CSV files, statistics and the report."""
