"""Speed and memory, as ratios in one run. Knows the engine and the server from outside."""
