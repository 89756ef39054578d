"""Trimtab: the learning loop that steers LLM agents with small, readable policies."""
