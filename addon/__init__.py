"""Blender's side without buttons: the environment, the backend's client, jobs, the timeline.

This ring never imports `operators` or `ui`; `environment` does without bpy.
"""
