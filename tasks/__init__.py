"""Tasks: what is asked of the model before the stream begins. A leaf."""

from tasks.base import Input, Task
from tasks.defaults import DEFAULT_TASKS

__all__ = ["DEFAULT_TASKS", "Input", "Task"]
