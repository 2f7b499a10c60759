"""The motion graph: features, matching, edges, connectivity."""
