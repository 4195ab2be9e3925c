"""The shipped rule sets: a file in this folder is found by itself."""
