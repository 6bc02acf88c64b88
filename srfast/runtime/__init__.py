"""The process: its cores, locks and signals, and what a person sees of long work."""
