"""What a report says in words, for a reader who never saw the paper. Knows no number: `{names}` are filled in by the page."""

ABOUT = """
A language model reads a source while it arrives, and writes its target at the same time. After each piece of source that arrives a policy
decides: READ (wait for more of the source) or WRITE (commit the next token of the target, never to be revised).

A decision head is a policy that looks at the model's own state and writes when its score reaches a threshold. The threshold moves it along
a curve: lower is faster, higher is safer. Baselines are policies that follow a fixed rule instead.

phi is how many {units} of the source were visible when a token was written. Coverage (RCO) is the mean of phi as a share of the source: 1
is reading everything before the first word, as an ordinary model does; 0.6 is writing when, on average, 60% has been read. Lag (AIL) is by
how many {units} the target is behind a writer that keeps exact pace with the source.

Beside every number is its 95% interval: {resamples:,} times as many {unit} as were evaluated were drawn from them at random, with
replacement, the same ones for all policies. A difference whose interval contains 0 is called “not shown”, whichever way it leans. Each
interval stands for itself: of twenty comparisons one may seem to show what is not there.
"""
POLICIES = {
    "entropy": "writes when the model is certain of its next token: when the entropy of its distribution is low enough.",
    "attention": "writes when the model's attention to the source is gathered on few words.",
    "mass": "writes when enough of the model's attention goes to the source.",
    "weighted": "writes when the model is certain enough, looks at the source enough, or is far enough behind: a sum of the three.",
    "full": "reads everything, then writes: an ordinary model (batch).",
    "wait_k": "reads k words, then writes one and reads one by turns.",
    "fixed_chunk": "reads n words, then writes r tokens, by turns.",
    "fixed_fraction": "reads a fixed share of the source, whose length it is told, then writes.",
    "align_att": "waits while the model attends to the newest words most.",
    "random": "waits or writes by chance.",
    "oracle": "reads up to the end of the evidence, which it is told, then writes.",
}
PLOTS = """{where} is better. Shaded: 95% intervals of quality. A ring marks a tier. The dotted line is the full view, the quality of an
ordinary model that reads everything first."""
FOUND = "At how many of a head's thresholds its {metric} is better or worse than a baseline's at the same coverage."
EXAMPLES = """Three items as {policy} wrote them: the one with its least coverage, its middle one, and the one with the greatest. Under each
word of the source is its number; under each word of the target is phi, the number of {units} of the source that were visible when it was
complete. Words that were never read are faint."""
SIGNAL = """At {probes:,} moments in {items} items the model was asked for its next token twice: with what had arrived, and with the whole
source. A useful score is high where both agree. The area under the ROC curve says how well it tells: 0.5 is chance, 1 is perfect. Knowing
only how much had been read (phi alone) is the least that a score must beat."""
TIERS = """A tier is a threshold that was set on development data to reach a target. Here it is run on other data, and not set again. It is
on target within 0.03 of coverage, or {tolerance:g} {units} of lag."""
UNITS = {"word": "words", "ms": "ms"}
COMPARISONS = """Each row is a head at one threshold. Its quality is compared with what the baseline has at the same coverage, read off the
baseline's curve between its two nearest points, in every resample. The full view is the last point of every baseline's curve. Where the
baseline has no point on either side, nothing is compared."""
NUMBERS = """At each target token, lengths are counted in tokens of the target and no reference is known, so AL equals LAAL. By the clock a
time runs from the first word sent, and coverage may exceed 1: writing goes on after the source has ended."""
