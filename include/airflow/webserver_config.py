"""Airflow's FAB login in production (`[fab] config_file`): accounts in Airflow's database, made by an administrator.

Nobody registers, nobody is anonymous. For a company's own login replace `AUTH_TYPE` and say which groups get which role
with `AUTH_ROLES_MAPPING`; the roles are Labeler, Lead, Operator (`restar production-init`) and FAB's Admin. Holds no
secrets: what needs one is read from a file below /run/secrets.
"""

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
AUTH_USER_REGISTRATION = False
WTF_CSRF_ENABLED = True
FAB_PASSWORD_COMPLEXITY_ENABLED = True
