"""What happens to a request.

    front          decides, from a request's head alone, whether it is forwarded and with which identity
    rules          what one generation of settings says about requests; routes, paths, queries and places are its parts
    requests       what kind of request this is, and the reading of forms
    desk           what a browser is answered with: sessions, logins, cookies, pages
    doorway        where a login begins: in a frame, with a fragment, or at once
    login_endpoint where a browser begins a login, and where answers go round by
    logins         a login under way, which travels with the browser; underway is the cookies that hold it
    acs            from an IdP's answer to a session and the deep link
    judge          from what an IdP sent to what it says
    arrivals       answers that nobody asked for, until it is clear whose session they replace
    single_logout  the end of sessions, begun by the learner or by the IdP
    turns          how much SAML work is done at once
    cookies        the names and attributes of our cookies
    targets        where a login may lead
    learners       from a session to what the platform is told
    refusals       where a refusal becomes a page or a problem document, and a log line
    waiting        learners whose course is not open yet
    enrollments    `on_launch: enroll`
    completions    what the platform's answers say of them; completion_endpoint and its body are the platform's own word
    application    everything under `/_bridge/`, webhooks among it
    internal       the internal listener, and who may ask there (bearer)
    forward_auth   the same decision for another proxy that asks for it; dialects are the words in which each one asks,
                   classes the paths that one answer holds for

Read it from `front` onwards.
"""
