"""Search for the options that a training run scores best with."""
