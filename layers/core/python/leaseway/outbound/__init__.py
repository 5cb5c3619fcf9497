"""Requests to addresses that users name, kept away from everything that is not public.

    urls        which URLs may be asked for at all: spelling, scheme, literal addresses
    addresses   which addresses are public
    names       what a name means, resolved once per hop
    sockets     connections to the addresses that were checked, with bounded reads
    fetching    GET with redirects, limits and a total time

`fetching` imports urllib3; the others do not, so a URL can be checked without paying for it.
"""
