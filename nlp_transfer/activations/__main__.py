"""The command `python -m nlp_transfer.activations`: the cache of activations listed or cleared."""

from nlp_transfer.activations.activation_store import main

if __name__ == "__main__":
    main()
