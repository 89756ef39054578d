"""The demo: thirty simulated days of the loop on real mail, through the public services."""
