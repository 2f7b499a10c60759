"""The engines that fill transitions, and what they share."""
