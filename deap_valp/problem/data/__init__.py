"""What problems are made of, before there is a problem: splits, checked arrays, files, storage."""
