"""Routes, one blueprint a noun."""
