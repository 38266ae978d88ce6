"""What happens to a request.

`front.Front` decides, from a request's head alone, whether it is forwarded and with which identity. `routes`, `paths`
and `queries` say what a target asks for, `logins` and `acs` make sessions out of SAML answers, `application` has
everything under `/_bridge/`, and `refusals` is where a refusal becomes a page, a problem document and a log line.
"""
