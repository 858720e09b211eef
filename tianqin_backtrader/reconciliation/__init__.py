"""Our orders and lots against the account: at the start, after a reconnect, at an expiry."""
