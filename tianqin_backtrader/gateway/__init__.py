"""The session with TianQin: login, connection, rows, queries and trading."""
