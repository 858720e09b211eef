"""From one contract to the next."""
