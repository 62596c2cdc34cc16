"""Who is asking: Airflow's login, for the desk and the reports.

The one module of `restar_lib` beside orchestration that imports Airflow. A plugin's FastAPI app is not behind Airflow's
login by itself; `signed_in` puts it there. Airflow answers 401 to a stranger and takes the cookie of its UI or a bearer
token. What the person may open is asked of Airflow's auth manager, as its "custom views": under FAB the role decides
(`orchestration.roles`), under SimpleAuthManager everybody may. A list of names (`labeling.labelers`) can narrow that
further; that is the desk's, not decided here.
"""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, Request

from restar_lib.desk.context import Right


async def signed_in(request: Request, user: Annotated[BaseUser, Depends(get_user)]) -> None:
    """Let signed-in users pass; remember their name and their rights in `request.state`."""
    manager = get_auth_manager()
    request.state.visitor = user.get_name()
    request.state.rights = frozenset(
        right
        for right in Right
        if manager.is_authorized_custom_view(method="GET", resource_name=right.value, user=user)
    )
