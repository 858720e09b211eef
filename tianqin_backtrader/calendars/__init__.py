"""Products, trading hours, trading days and holidays."""
