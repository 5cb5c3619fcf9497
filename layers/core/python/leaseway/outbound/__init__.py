"""Requests to addresses that users name, kept away from everything that is not public.

    urls            which URLs may be fetched at all: spelling, scheme, literal addresses
    addresses       which addresses are public
    names           what a name means, resolved once per hop
    sockets         connections to the addresses that were checked, with bounded reads
    exchange        one HTTP request and its answer over such a connection
    decompression   the body without its Content-Encoding
    fetching        GET with redirects, limits and a total time
    charsets        the body as text

`fetching` and `exchange` import h11, and the first check of a URL imports its parser: a cold start pays for neither.
"""
