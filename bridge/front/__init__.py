"""What happens to a request.

    front         decides, from a request's head alone, whether it is forwarded and with which identity
    rules         what one generation of settings says about requests; routes, paths, queries and places are its parts
    requests      what kind of request this is, and the reading of forms
    desk          what a browser is answered with: sessions, logins, cookies, pages
    logins        a login under way, which travels with the browser
    acs           from an IdP's answer to a session and the deep link
    cookies       the names and attributes of our cookies
    targets       where a login may lead
    learners      from a session to what the platform is told
    refusals      where a refusal becomes a page or a problem document, and a log line
    application   everything under `/_bridge/`
    internal      the internal listener

Read it from `front` onwards.
"""
