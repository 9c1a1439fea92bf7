"""Tasks: what is asked of the model before the stream begins, and the data that it is tried on. A leaf."""

from tasks.base import Input, Task
from tasks.data import data_hash, kind_of, metrics_of, read_data
from tasks.defaults import DEFAULT_TASKS
from tasks.example import Example

__all__ = ["DEFAULT_TASKS", "Example", "Input", "Task", "data_hash", "kind_of", "metrics_of", "read_data"]
