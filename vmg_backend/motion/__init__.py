"""From the poses around a gap to the joints in between."""
