"""Public models that stand in for HMInterp, as they are published: nothing of them is trained here."""
