"""The operations d and L: their definition, their implementations, their registration with torch."""
