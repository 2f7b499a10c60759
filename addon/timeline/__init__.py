"""The only part that makes or changes strips and markers."""
