"""The HTML report: one self-contained file that shows what was scored and what is kept."""
