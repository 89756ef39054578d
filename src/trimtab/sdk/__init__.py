"""WHAT AGENTS IMPORT. Small, few dependencies, never takes the agent down."""
