"""Kombo's LMS API, simulated faithfully enough to develop against; used by the demo, `simulate kombo` and the tests.

    records     what a customer's LMS has           table       … and what Kombo has seen of it, after its syncs
    world       one Kombo environment               seed        a plausible one, and its cast
    catalogue   the provider's courses
    reads       the list endpoints                  writes      enroll, complete, deactivate    bulk    course pushes
    general     keys, integrations, syncs           objects     rows as Kombo writes them
    answers     envelopes and errors                faults      what goes wrong on demand
    control     changing the world over HTTP        app         all of it as one ASGI application
    serving     any ASGI application on a socket

Where Kombo's documents are silent, the simulator takes the stricter reading (an unknown parameter is an error), so that
a client which works against it is a careful one; each such place says so.
"""
