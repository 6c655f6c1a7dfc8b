"""Results of heartbeats lie on any second, so they alone have an index by check; `lag_ms` -1 marks them."""

from django.db import migrations

FORWARD = """
update result set lag_ms = -1
where region = (select id from checks_region where code = 'heartbeat');
create index result_of_heartbeat on result (check_id, at) where lag_ms = -1;
"""
BACKWARD = """
drop index result_of_heartbeat;
update result set lag_ms = 0 where lag_ms = -1;
"""


class Migration(migrations.Migration):
    dependencies = [("checks", "0004_heartbeats")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
