"""Recipes: programs that make training data which the repository does not hold, such as speech. Each is run as `python -m recipes.NAME`."""
