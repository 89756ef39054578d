"""DECIDES. Values and maths: no I/O, no clock, no globals."""
