"""Who may do what in a production Airflow: the roles of its FAB login, and their installation.

`ROLES` is the whole truth: `install_roles` makes each role exactly that, so a permission that was clicked together in
the UI is taken away again, and running it twice changes nothing. FAB's own `Admin` may do everything and is FAB's; its
other roles (Op, User, Viewer, Public) are left alone and should be given to nobody.

The embedded installation has no roles: there Airflow's SimpleAuthManager lets everybody in who has a password. Changes
no user but the first administrator, and that one only where there is none of the name. Called by
`restar production-init`; what the desk makes of a role is `desk.auth`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from restar_lib.desk.context import Right

Permission = tuple[str, str]
"""Action and resource, in FAB's words."""

LABELER: Final = "Labeler"
LEAD: Final = "Lead"
OPERATOR: Final = "Operator"
ADMIN: Final = "Admin"
RETRAINING: Final = "DAG:retrain_sentiment"
"""FAB's name for one DAG: the one whose runs wait for an approval."""


def _may(actions: str, *resources: str) -> frozenset[Permission]:
    return frozenset((action, resource) for action in actions.split() for resource in resources)


_EVERYBODY = (
    # The navigation asks for the list of plugins to know that there is a desk.
    _may("can_read", "Website", "Plugins") | _may("can_read can_edit", "My Password", "My Profile")
)
_APPROVALS = _may("can_read can_edit menu_access", "HITL Detail")
ROLES: Final[Mapping[str, frozenset[Permission]]] = {
    LABELER: _EVERYBODY | _may("can_read", Right.LABEL),
    # Airflow lets nobody answer who may not edit the DAG, so a lead may also pause the retraining. Not among these:
    # starting it, clearing its tasks, reading its logs. Runs and tasks are those of readable DAGs alone.
    LEAD: _EVERYBODY
    | _may("can_read", Right.LABEL, Right.REPORTS)
    | _may("can_read can_edit", RETRAINING)
    | _may("can_read", "DAG Runs", "Task Instances", "DAG Versions", "XComs")
    | _APPROVALS,
    OPERATOR: _EVERYBODY
    | _may("can_read", Right.REPORTS)
    | _may("can_read can_edit menu_access", "DAGs")
    | _may("can_read can_create can_edit menu_access", "DAG Runs", "Task Instances", "Backfills", "Assets")
    | _may("can_read", "Task Logs", "DAG Code", "DAG Versions", "DAG Warnings", "ImportError", "XComs", "Asset Aliases")
    | _may("can_read menu_access", "DAG Dependencies", "Cluster Activity", "Jobs", "Pools", "Audit Logs")
    | _may("menu_access", "Browse", "Docs", "Documentation")
    | _APPROVALS,
}
"""No role deletes runs: they are the record. Whoever must, is an admin."""


@dataclass(frozen=True, kw_only=True)
class InstalledRoles:
    """What `install_roles` did."""

    permissions: dict[str, int]
    """Role -> how many permissions it has now."""
    changed: int
    """Permissions given or taken."""
    admin: str


def install_roles(*, admin: str, password: str, email: str) -> InstalledRoles:
    """Make FAB's roles what `ROLES` says, and the first administrator where nobody has that name.

    Works on Airflow's metadata database, which must be migrated and have FAB as its auth manager.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as appbuilder:
        manager = appbuilder.sm
        # FAB's own views, actions and built-in roles first: `Admin` is given whatever exists at the end.
        appbuilder.add_permissions(update_perms=True)
        manager.sync_roles()
        changed = sum(_make_exact(manager, name, wanted) for name, wanted in ROLES.items())
        manager.update_admin_permission()
        made = _first_admin(manager, name=admin, password=password, email=email)
    counts = {name: len(wanted) for name, wanted in ROLES.items()}
    return InstalledRoles(
        permissions=counts, changed=changed, admin=f"{admin} {'created' if made else 'was there already'}"
    )


def _make_exact(manager: Any, name: str, wanted: frozenset[Permission]) -> int:
    role = manager.add_role(name)
    held = {(one.action.name, one.resource.name): one for one in role.permissions}
    missing, surplus = wanted - held.keys(), held.keys() - wanted
    for action, resource in sorted(missing):
        manager.add_permission_to_role(role, manager.create_permission(action, resource))
    for key in sorted(surplus):
        manager.remove_permission_from_role(role, held[key])
    return len(missing) + len(surplus)


def _first_admin(manager: Any, *, name: str, password: str, email: str) -> bool:
    if manager.find_user(username=name) is not None:
        return False
    manager.add_user(
        username=name, first_name=name, last_name="(first administrator)", email=email,
        role=manager.find_role(ADMIN), password=password,
    )  # fmt: skip
    return True
