"""DOES. One class per concept, one transaction per action, one audit event."""
