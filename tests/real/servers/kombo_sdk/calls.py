"""Calls of Kombo's own client, in an environment of its own: python calls.py < script.json

The script is {"server_url", "api_key", "integration_id", "calls": [[method, arguments]], "webhooks": [[class, body]]};
`method` is one of the client's, such as `general.check_api_key`. The output is {"calls": […], "webhooks": […]}, for
each call {"result"} or {"error", "status", "code"}, and for each webhook what the client's model made of it.
"""

from __future__ import annotations

import json
import sys
from operator import attrgetter
from typing import Any

from kombo import Kombo, models
from kombo.errors import KomboGeneralError, SDKError


def made(client: Kombo, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = attrgetter(method)(client)(**arguments)
    except SDKError as error:
        code = error.data.error.code if isinstance(error, KomboGeneralError) else None
        return {"error": type(error).__name__, "status": error.status_code, "code": code}
    return {"result": getattr(answer, "result", answer).model_dump(mode="json", by_alias=True)["data"]}


def followed(client: Kombo, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A list through all its pages, as the client does it by itself."""
    ids, page = [], attrgetter(method)(client)(**arguments)
    while page is not None:
        ids += [row.id for row in page.result.data.results]
        page = page.next()
    return {"result": ids}


def main() -> None:
    script = json.load(sys.stdin)
    client = Kombo(api_key=script["api_key"], integration_id=script["integration_id"], server_url=script["server_url"])
    with client:
        calls = [
            followed(client, method.removeprefix("every "), arguments)
            if method.startswith("every ")
            else made(client, method, arguments)
            for method, arguments in script["calls"]
        ]
    webhooks = [
        getattr(models, name).model_validate_json(body).model_dump(mode="json") for name, body in script["webhooks"]
    ]
    json.dump({"calls": calls, "webhooks": webhooks}, sys.stdout)


if __name__ == "__main__":
    main()
