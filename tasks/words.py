"""How a text is cut into the pieces in which it is streamed: one a word, with the blanks behind it. Knows no tokenizer."""

import re


def pieces(text: str) -> list[str]:
    """The words of a text, each with the blanks behind it, so that it is released at once. Joined, they are the text."""
    return re.findall(r"\s*\S+\s*|\s+$", text)
