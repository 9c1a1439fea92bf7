"""The paper's claims: what is run for them, what is committed of it, and what is concluded. Above evaluation and training."""
