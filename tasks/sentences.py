"""Where a sentence ends, by one rule for several scripts, so that a stream may be cut there. Pure text.

Knows punctuation and a few abbreviations; knows no language, no tokenizer and no slot.
"""

import re

# A mark, what closes behind it, and a blank; or an empty line. In scripts without blanks any character behind it will do, unless a word
# that is written with blanks would be cut in two (`。”then`).
# Possessive, or a mark would end its sentence before what closes it came; bounded, and begun where a run begins, so that the search is
# linear in whatever text.
_END = re.compile(
    r"""(?<![.!?…‽؟۔।॥։።])[.!?…‽؟۔।॥։።]{1,16}+["'”’»›)\]}]{0,8}+\s+"""
    r"""|(?<![。！？｡])[。！？｡]{1,16}+[」』）】》〉”’"')\]]{0,8}+(?:\s+|(?![。！？｡])(?:(?<=[。！？｡」』）】》〉])(?=\S)|(?=[、-ヿ㐀-鿿豈-﫿！-ﾟ])))"""
    r"""|\n[^\S\n]{0,32}+\n\s*"""
)
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“‘«‹„]+$")
_SHORT = re.compile(r"(?:\w\.)*[^\W\d_]|\d{1,2}")  # an initial, "U.S", "z.B", an ordinal: "J. Smith", "am 3. Mai"
# English, German, French, Spanish, Italian; without the full stop, in lower case. None that is a word and often ends a sentence ("no").
_LISTED = (
    "mr mrs ms dr prof st sr jr rev hon gen col capt lt sgt sen rep gov pres nos vs etc al fig vol ch pp eds inc ltd co corp dept "
    "hr fr frl nr bzw usw ca evtl ggf vgl sog inkl zzgl abs bd str tel jh mio mrd geb gest "
    "mme mlle cf sra srta dra ud uds pág núm sigg dott avv ing"
)
_ABBREVIATIONS = frozenset(_LISTED.split())
_LOOK_BACK = 64  # characters in which marks and what closes them lie, or an empty line


def first_end(text: str, seen: int = 0) -> int | None:
    """Where the sentence that `text` begins with ends: the index of what follows it and its blanks; None while that cannot be told.

    It cannot before the character behind the mark is there, which may be another mark, a closing quote or a digit ("3.14"). A full stop
    ends none behind an abbreviation, an initial or a number of one or two digits; one too few is better than one too many. `seen`:
    characters in which no end was found before.
    """
    for found in _END.finditer(text, max(seen - _LOOK_BACK, 0)):
        # What ends before `seen` was passed over then: with less of the text in front of it, it may look otherwise.
        if found.end() >= seen and not _is_abbreviated(text, found):
            return found.end()
    return None


def sentences(text: str) -> list[str]:
    """The sentences of a text; joined, they are the text. The last may not be finished."""
    parts: list[str] = []
    while text:
        end = first_end(text) or len(text)
        parts.append(text[:end])
        text = text[end:]
    return parts


def _is_abbreviated(text: str, end: re.Match[str]) -> bool:
    if end[0][0] != "." or end[0][1:2] == ".":
        return False
    before = _WORD_BEFORE.search(text, max(end.start() - _LOOK_BACK, 0), end.start())
    word = before[0] if before else ""
    return word.lower() in _ABBREVIATIONS or _SHORT.fullmatch(word) is not None
