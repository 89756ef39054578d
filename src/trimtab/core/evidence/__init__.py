"""What a rollout has shown so far: mergeable summaries, e-values and intervals that stay valid under peeking."""
