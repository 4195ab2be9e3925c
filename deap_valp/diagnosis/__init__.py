"""What a trained VALP shows about its parts: one function per metric (paper IV-B)."""
