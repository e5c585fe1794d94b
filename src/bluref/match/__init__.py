"""Where a reference shows what a target shows: the matcher protocol and its matchers."""
