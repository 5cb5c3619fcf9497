"""What holds for every test."""

from support.fuzz import load_profile

load_profile()
