"""The documented schema as frozen types; every default of the product lives here."""
