"""The person's matte, the empty plate behind, and the motion of the camera."""
