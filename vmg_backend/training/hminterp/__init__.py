"""Training of HMInterp."""
