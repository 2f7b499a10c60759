"""Thin operators, one module for each panel's verbs."""
