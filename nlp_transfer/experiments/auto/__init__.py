"""The choice of a strategy by the rows and by trials."""
