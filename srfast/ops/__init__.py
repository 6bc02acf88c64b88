"""The operations d (degradation) and L (loss): definition, implementations, and registration with torch."""
