"""Who is asking: Airflow's login, for the desk and the reports.

The one module of `restar_lib` beside orchestration that imports Airflow. A plugin's FastAPI app is not behind Airflow's
login by itself; `signed_in` puts it there. Airflow answers 401 to a stranger and takes the cookie of its UI or a bearer
token. Airflow offers a name only, so who may label is decided by name (`labeling.labelers`), not here.
"""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, Request


async def signed_in(request: Request, user: Annotated[BaseUser, Depends(get_user)]) -> None:
    """Let signed-in users pass and remember their name in `request.state.visitor`."""
    request.state.visitor = user.get_name()
