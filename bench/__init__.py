"""Every speed and every statistical claim, runnable, side by side with what a user would pick instead."""
