"""From ticks to bars: history, live bars, proof and resampling."""
