"""SPEAKS HTTP. Thin routes over services; who acts comes from the key, never from the body."""
