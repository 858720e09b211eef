"""What the account holds and is worth: ledger, profit, costs, sizers."""
