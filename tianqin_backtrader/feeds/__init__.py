"""From rows to bars: history, live bars, ticks, comparison and resampling."""
