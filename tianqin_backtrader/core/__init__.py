"""What every room stands on: values, time, and words that give nothing away."""
