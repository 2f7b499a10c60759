"""Finding the path: conditions, exact search, certificates."""
