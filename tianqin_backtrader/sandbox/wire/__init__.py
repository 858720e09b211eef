"""The server's side of TianQin's wire protocol."""
