"""The process: its cores, locks and signals, and the progress that it shows of long work."""
