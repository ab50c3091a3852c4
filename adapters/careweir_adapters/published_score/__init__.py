"""Published clinical scores, computed in this process: nothing is disclosed to anyone."""
