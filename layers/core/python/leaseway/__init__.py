"""Leaseway's domain: balances, jobs and the rules that keep both true.

HTTP words never enter this package, and table and queue names never leave it.
"""
