"""Video Motion Graphs: re-edit footage of one person along a motion graph."""

__version__ = "0.1.0"
