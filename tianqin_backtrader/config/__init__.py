"""Settings from TOML files and the environment."""
