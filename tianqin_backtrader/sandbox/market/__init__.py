"""The market that the embedded exchange generates: contracts, ticks and bars."""
