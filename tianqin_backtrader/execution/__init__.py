"""Order management: from what a strategy asks for to the exchange, and back."""
