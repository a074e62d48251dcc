"""Judge what a run observed: intervals, warm-up, validity, thresholds, comparison, search. Pure; acts on nothing."""
