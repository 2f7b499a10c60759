"""Panels, menus, lists and overlays."""
