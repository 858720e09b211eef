"""The embedded exchange: a TianQin-compatible service on loopback.

``python -m tianqin_backtrader.sandbox`` runs it; ``sandbox.embedded`` starts it from a program. It
needs neither TqSdk nor Backtrader.
"""
