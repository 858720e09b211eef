"""Seeded scripts of faults for the sandbox, and what a run of many feeds is compared with."""

import random

#: Market steps of three trading days of the ten contracts, about.
STEPS = 160_000


def fault_script(seed, faults=6, steps=STEPS):
    """Faults at random steps; the same seed is the same script."""
    rng = random.Random(seed)
    makers = [
        lambda: {"fault": "drop", "conn": rng.choice(["md", "td", "all"])},
        lambda: {"fault": "drop", "conn": rng.choice(["md", "td", "all"]), "how": "clean"},
        lambda: {"fault": "freeze", "conn": rng.choice(["md", "all"]), "seconds": rng.random()},
        lambda: {"fault": "batch", "steps": rng.randint(20, 2000)},
        lambda: {"fault": "repeat", "conn": "md"},
        lambda: {"fault": "cut", "conn": "md"},
        lambda: {"fault": "fill_away", "conn": "md", "seconds": rng.randint(30, 7200)},
    ]
    entries = [{"at": {"step": rng.randint(10, steps)}, **rng.choice(makers)()} for _ in range(faults)]
    return sorted(entries, key=lambda entry: entry["at"]["step"])
