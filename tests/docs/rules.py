"""What is done with each command of the pages, and why some are only parsed. A new kind of command or block needs a line here."""

# Indented blocks that hold no command, by their page and the beginning of their first line.
SHOWN = (
    ("README.md", "╭─"),  # what the terminal shows
    ("README.md", "heads/  "),  # the tree
    ("docs/training.md", "source,target"),  # a CSV file
    ("docs/architecture.md", "  client  "),  # the drawing
    ("docs/architecture.md", "cli, claims  >"),  # the layers
)

# Run as one script by a test of its own, as its lines depend on each other.
SCRIPTS = ("deploy/README.md",)

# Commands of ours that are parsed and not run, by their beginning.
NOT_RUN = {
    "proactivellm stream --audio": "the tiny model of these tests has no ears; tests/cli/test_stream_audio.py streams to one that has",
    "proactivellm serve-ray": "starts Ray, an extra; tests/server/test_ray.py runs two replicas",
    "proactivellm load ws://127.0.0.1:8000 --task translate --soak": "half an hour; tests/load/test_soak.py runs a short one",
}

# Programs that are not ours: each command is parsed by the program itself, or by what stands for it.
NOT_OURS = {
    "make": "installs, runs every test or measures for minutes; `make -n` finds the target and expands its recipe",
    "pip": "needs the network; what it is to install is compared with what the repository says",
    "python": "modules of ours on data that is not here; their own tests run them",
    "accelerate": "several devices; tests/training runs two processes on tiny models",
    "simuleval": "tests/clients/test_simuleval_agent.py runs it on fifty sentences; main's remote evaluator is on no package index",
}

# Written for people, and what a test puts in its place; applied to every word of a command.
WORDS = {
    "…": "path/to/model",
    "wss://server:8000": "{url}",
    "ws://127.0.0.1:8000": "{url}",
    "/var/lib/proactivellm/recordings": "recordings",
    "/var/lib/proactivellm/recordings/20260101T120000-….jsonl": "{recording}",
    "plm-…": "plm-x",
    "needle:test:200": "answers.jsonl",  # short: tiny models have tiny vocabularies, so that a passage is thousands of tokens
    "needle:dev:300": "answers.jsonl",
    "cuda": "cpu",  # models fit into any device that the tests have
}

# Flags that are added, or replace the page's own, so that a command ends soon.
SOON: dict[str, dict[str, str]] = {
    "serve": {"--port": "0", "--kv-memory": "4MiB", "--slot-length": "256", "--dtype": "float32", "--log-level": "error"},
    "stream": {"--rate": "0"},
    "replay": {"--speed": "0"},
    "load": {"--rate": "0", "--clients": "2", "--duration": "0.3"},
    "evaluate": {"--limit": "1", "--dtype": "float32"},
    "calibrate": {"--limit": "2", "--dtype": "float32"},
    "seams": {"--limit": "16", "--stream-items": "8", "--slot-length": "256", "--dtype": "float32"},
}
FEWER = {"--sweep": "2", "--signal-test": "1"}  # where the page has them
ASKS_A_SERVER = ("stream", "replay")  # at --url, which is another one here

# Python programs that are compiled and not run.
NOT_RUN_PYTHON = {
    "docs/openai.md": "tests/server/realtime/test_text.py runs it in a process of its own",
    "docs/audio.md": "the tiny model of these tests has no ears; tests/cli/test_stream_audio.py streams to one that has",
}
