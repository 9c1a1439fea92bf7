"""What is asked by each claim, and how it is judged, in words. Knows no number that is computed."""

H0 = """\
Every head's score predicts, at prefixes of the test items, that the model's next token is the one that it writes when it sees the
whole source. Measured by the area under the ROC curve, 0.5 being chance; what must be beaten is a predictor that knows only how
much was read (phi alone). `attention, focus` is the attention head's other score, `align_att` a baseline, and shuffled attention is
that of another item at equal phi: what is left of the signal when it comes from elsewhere. The claim is of the heads entropy,
attention and mass, on every task."""

H1 = """\
Entropy and attention each keep at least 97% of the full view's quality while they read, on average, at most 0.07 of the source more
than the oracle (needle QA), or at most 0.85 of it (SQuAD); and each is better than fixed fraction at equal RCO. The full view is that
of the *plain* checkpoint, trained for as many steps without stream views; the share of the checkpoint's own full view stands beside
it. Thresholds were chosen on development data, for an RCO 0.02 (needle QA) or 0.03 (SQuAD) below what is allowed, and not touched
again. A share of quality must have its lower bound above, an RCO its upper bound below what is asked. Fixed fraction, which is told
the length of the source, is run at 16 fractions; its quality at a head's RCO is read off between the two nearest, in every resample.
The oracle stops where the evidence ends. Wait-k is reported beside them."""

H2 = """\
On sources of at least 10 words the entropy head translates better than wait-k at equal LAAL, at two of three points at least. The
three thresholds were chosen on development data so that the head has the LAAL that wait-3, wait-5 and wait-7 have there. On the
test data wait-k's quality at the head's LAAL is read off its curve between the two nearest k, in every resample; the full view is
the curve's last point. LAAL is in source words, a target word at a time, as SimulEval's. The head that mends the claim (below) stands
beside it."""

H2_MENDED = """\
What is wrong with certainty alone ([log.md](log.md)): a small model is unsure of a hard word with the whole source too, and stalls on it
until the source ends; and it is sure of what it makes up where it looks at no source at all. The `weighted` head adds to certainty what
tells the two apart: the attention to the source (0.7 of it), and the words by which the target is behind (0.15 each). It was made when
the entropy head's results on these test data had been seen. That attention helps, and the 0.7, come of H0's 200 items, which are among
these; development data confirmed it and gave the rest. Without those 200 the verdicts are the same ([log.md](log.md)).
All else is as above, the rows too."""

H3 = """\
One checkpoint serves three latency tiers: thresholds from its `tiers.json`, calibrated on development data. On test data each is within
0.03 of its target RCO (or 0.4 words of lag), and quality does not fall from a tier to the next slower one. Equal qualities differ in
any sample, so a step may lose 1 point at its lower bound; from the fastest to the slowest quality must rise."""

H4 = """\
Each loss brings something: more area under quality with MSLM than without any, with SPSD than without any, and with both than with
either. All runs of a task have the same data, seeds, steps and items a step; only the loss or the read budget differs. Translation:
a model of 2.2M parameters from nothing. Answering: adapters on SmolLM2-135M, judged on needle QA and SQuAD, half each. The entropy
head is run at ten thresholds, the same for all, and the full view is the last point of every curve. Area is the mean quality over
the latencies that all runs of the task reach, LAAL in translation and RCO in answering; it needs no threshold to be chosen.
Intervals are over items and seeds: every resample draws items, and seeds, the same ones for both sides. With two seeds such an
interval says little about how much seeds differ. Budgets and lambdas stand beside the claim."""

SPEECH = """\
Spoken digits of a speaker, and synthetic speech of a voice, that training did not hear. The word error rate is without case and
punctuation. The full view is the same model when it writes after the recording has ended; wait-k writes a word every decision point,
from the k-th on. Thresholds were chosen on development data, of other speakers and voices than these, for the lag or the RCO that stands
beside them; some 0.56 is what is read of a recording of digits if each is written as it ends. Asked for: a word error rate of at most 5%
on digits, at most a second after the end of the word on average, both at their upper bounds, at the RCO of 0.58 that the default tier of
the shipped checkpoint aims at, a point that was chosen when results at others had been seen ([log.md](log.md)). Recordings say when a
digit ends; when a word of a sentence ends is not known, so there LAAL stands alone. Intervals are over recordings: of one speaker and one
voice they say nothing about others. So each of the five speakers of digits is also kept from a model in turn, trained shorter than the
shipped one from weights that had heard voices that read, and no person (`configs/rotation.*.toml`), and judged where development
recordings of the four others, who are heard in training, are written 500 ms behind a word, half of what is asked for. That point, too,
was chosen when results at an RCO of 0.58 had been seen, which stand beside it; in the mean over speakers each counts the same."""

INTRODUCTION = """\
# The claims

What the paper claims, asked of the checkpoints that are shipped, on test data that neither training nor calibration has seen. This
page is rendered by `make claims` from the numbers of every item in `claims/results/`, and every verdict is computed: nobody writes
one by hand. A claim *holds* if the interval of everything that it asks for carries it; what an interval does not carry is *not
shown*, whichever way it leans; what has no results is *not run*. Behind a number is its 95% interval from 2,000 bootstrap resamples
of whole passages, the same for everything that is compared ([evaluation.md](evaluation.md) says how latency and quality are
measured). `make claims-run` makes the results of H0 to H3 anew, `make ablation` those of H4; `PARTS="speech-digits speech-sentences"` with
`python -m claims.rotation` those of speech, and `PARTS=h1-needle.plain FLAGS="--model …"` those of a plain checkpoint, which is not
shipped."""
