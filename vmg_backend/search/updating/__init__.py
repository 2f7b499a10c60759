"""The parts of an update; see `vmg_backend.search.update`."""
