"""HMInterp, the diffusion in-between engine (Video Motion Graphs, section 3.3); needs the extra [generate]."""
