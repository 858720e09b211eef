"""The market that the embedded exchange makes: contracts, ticks and bars."""
