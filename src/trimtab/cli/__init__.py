"""SPEAKS SHELL. One command group per concept: parse, one service call, present."""
