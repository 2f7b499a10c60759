"""Data for the Motion Diffusion Model, and its trainer."""
