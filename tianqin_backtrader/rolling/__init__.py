"""Rolling positions from one contract to the next."""
