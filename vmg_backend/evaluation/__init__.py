"""Metrics of finished films, and the papers' protocols."""
