"""Kombo's LMS API, simulated faithfully enough to develop against; used by the demo, `simulate kombo` and the tests.

    records     what a customer's LMS has           shelf       … by id, by place and by key
    crowd       as many more as one likes           table       … and what Kombo has seen of it, after its syncs
    integration one customer                        world       one Kombo environment
    seed        a plausible one, and its cast       catalogue   the provider's courses        copies    made anew
    reads       the list endpoints                  writes      enroll, complete, deactivate  bulk      course pushes
    general     keys, integrations, syncs, tools    connect     links                         capabilities
    fields      beyond the models                   field_endpoints   … over HTTP
    objects     rows as Kombo writes them           answers     envelopes and errors
    webhooks    what Kombo tells by itself          clockwork   what happens without anybody asking
    faults      what goes wrong on demand           spoiling    … to a true answer
    control     changing the world over HTTP        editing     … and the records in it
    app         all of it as one ASGI application   serving     any ASGI application on a socket

Where Kombo's documents are silent, the simulator takes the stricter reading (an unknown parameter is an error), so that
a client which works against it is a careful one; each such place says so. Passing requests through to a customer's tool
(`/passthrough`) is not simulated.
"""
