"""ADAPTS. What comes from outside, brought into Trimtab's own values."""
