"""From labelled examples to a candidate bundle with an honest held-out report."""
