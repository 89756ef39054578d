"""What goes in and out over HTTP, one module per concept. What comes in is strict: no coercion, no unknown field."""
