"""``python -m deap_valp.scoop``: start a script on many workers, by ``distributed/launcher.py``."""

if __name__ == "__main__":
    from .distributed import launcher

    launcher.main()
