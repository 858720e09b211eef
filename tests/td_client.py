"""Another terminal on the account: packs straight to the sandbox's trading side, as they are told.

It needs no market data, and can be in the middle of a test's own rounds: one pack at a time.
"""
