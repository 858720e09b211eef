"""What is told and shown of a running program."""
