"""One file per lesson, each with a list EXERCISES."""
