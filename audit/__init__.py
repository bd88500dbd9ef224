"""What an auditor takes away: signed checkpoints, bundles of one wallet, explanations."""
