"""From verdicts to reliability: agreement, calibration, weights and consensus."""
