"""The command `proactivellm`. Alone may import everything."""
