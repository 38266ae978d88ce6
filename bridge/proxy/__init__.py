"""Forwarding: HTTP/1.1 and WebSocket, spliced between a learner's connection and one of our own to the platform.

    protocol    one client connection: has each request decided, carries them out one at a time
    reader      how requests are read from it
    request     what was read of one request, and which framings are refused
    runner      what a connection asks of whatever carries out its current request
    relay       one forwarded request on its way: head and body out (sending), answer and body back
    answer      one request that an ASGI application of ours answers
    upstream    connections to the platform, and when one may be used again
    response    how the platform's answers are read, and where their bodies end (framing)
    headers     what happens to each header, by its name; names, cookies, forwarded and caching are its parts
    flow        whether a client's socket is read, and who asked that it should not be
    limits      every size and every time limit
    deadlines   the one timer that holds all time limits
    recorder    what is counted of requests that are over (ended), and who writes their lines (requestlog)
    vigil       streams end with their sessions, and last as long as they do
    problem     answers for when there is no request that a page could be written for
    inside      how the internal listener reads requests
    descriptors how many files a process may have open
    server      uvicorn, started and stopped our way

Read it from `protocol` onwards; what each part guards against is in its tests.
"""
