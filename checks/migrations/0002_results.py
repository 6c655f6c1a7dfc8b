"""Result tables: partitioned by time, made by SQL; the models exist in migration state so that tests flush them.

Why these keys and this layout: time first in `result` costs a fifth of the CPU and WAL of check first, because a
minute's inserts touch the right edge of the index instead of one leaf page for each check. Partitions are made ahead
and dropped by `manage.py ensure_partitions`; there is no default partition, so a stray row is an error, not a leak.
""" 

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


TABLES = """
create table result (
    at timestamptz not null,
    check_id integer not null,
    client_id bigint not null,
    total_us integer not null,
    dns_us integer,
    connect_us integer,
    tls_us integer,
    send_us integer,
    wait_us integer,
    receive_us integer,
    bytes integer,
    lag_ms integer not null,
    stored_ms integer not null,
    region smallint not null,
    outcome smallint not null,
    reason smallint not null,
    http_status smallint,
    extra boolean not null,
    primary key (at, check_id, region)
) partition by range (at);

create table evidence (
    at timestamptz not null,
    check_id integer not null,
    region smallint not null,
    client_id bigint not null,
    message text not null,
    document jsonb not null,
    primary key (at, check_id, region)
) partition by range (at);

create table rollup_hour (
    hour timestamptz not null,
    check_id integer not null,
    client_id bigint not null,
    ms_sum integer not null,
    ms_max integer not null,
    p50 integer,
    p95 integer,
    p99 integer,
    region smallint not null,
    up smallint not null,
    degraded smallint not null,
    down smallint not null,
    missed smallint not null,
    primary key (check_id, hour, region)
) partition by range (hour);

create table region_state (
    check_id integer not null,
    region smallint not null,
    client_id bigint not null,
    memory bigint[] not null,
    last_at timestamptz,
    last_outcome smallint,
    last_reason smallint,
    last_http_status smallint,
    last_total_us integer,
    cert_not_after timestamptz,
    primary key (check_id, region)
) with (fillfactor = 60);

-- numbers of batches outside the plan: recheck calls at once must not share one
create sequence extra_batch maxvalue 2000000000 cycle;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('checks', '0001_initial'),
        ('clients', '0001_initial'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLES, "drop table result, evidence, rollup_hour, region_state; drop sequence extra_batch")
            ],
            state_operations=[
                migrations.CreateModel(
                    name='Evidence',
                    fields=[
                        ('pk', models.CompositePrimaryKey('at', 'check_id', 'region', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('at', models.DateTimeField()),
                        ('check_id', models.IntegerField()),
                        ('region', models.SmallIntegerField()),
                        ('message', models.TextField()),
                        ('document', models.JSONField()),
                        ('client', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='clients.client')),
                    ],
                    options={
                        'db_table': 'evidence',
                    },
                ),
                migrations.CreateModel(
                    name='RegionState',
                    fields=[
                        ('pk', models.CompositePrimaryKey('check_id', 'region', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('check_id', models.IntegerField()),
                        ('region', models.SmallIntegerField()),
                        ('memory', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(null=True), size=None)),
                        ('last_at', models.DateTimeField(null=True)),
                        ('last_outcome', models.SmallIntegerField(null=True)),
                        ('last_reason', models.SmallIntegerField(null=True)),
                        ('last_http_status', models.SmallIntegerField(null=True)),
                        ('last_total_us', models.IntegerField(null=True)),
                        ('cert_not_after', models.DateTimeField(null=True)),
                        ('client', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='clients.client')),
                    ],
                    options={
                        'db_table': 'region_state',
                    },
                ),
                migrations.CreateModel(
                    name='Result',
                    fields=[
                        ('pk', models.CompositePrimaryKey('at', 'check_id', 'region', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('at', models.DateTimeField()),
                        ('check_id', models.IntegerField()),
                        ('total_us', models.IntegerField()),
                        ('dns_us', models.IntegerField(null=True)),
                        ('connect_us', models.IntegerField(null=True)),
                        ('tls_us', models.IntegerField(null=True)),
                        ('send_us', models.IntegerField(null=True)),
                        ('wait_us', models.IntegerField(null=True)),
                        ('receive_us', models.IntegerField(null=True)),
                        ('bytes', models.IntegerField(null=True)),
                        ('lag_ms', models.IntegerField()),
                        ('stored_ms', models.IntegerField()),
                        ('region', models.SmallIntegerField()),
                        ('outcome', models.SmallIntegerField()),
                        ('reason', models.SmallIntegerField()),
                        ('http_status', models.SmallIntegerField(null=True)),
                        ('extra', models.BooleanField()),
                        ('client', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='clients.client')),
                    ],
                    options={
                        'db_table': 'result',
                    },
                ),
                migrations.CreateModel(
                    name='RollupHour',
                    fields=[
                        ('pk', models.CompositePrimaryKey('check_id', 'hour', 'region', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('hour', models.DateTimeField()),
                        ('check_id', models.IntegerField()),
                        ('region', models.SmallIntegerField()),
                        ('up', models.SmallIntegerField()),
                        ('degraded', models.SmallIntegerField()),
                        ('down', models.SmallIntegerField()),
                        ('missed', models.SmallIntegerField()),
                        ('ms_sum', models.IntegerField()),
                        ('ms_max', models.IntegerField()),
                        ('p50', models.IntegerField(null=True)),
                        ('p95', models.IntegerField(null=True)),
                        ('p99', models.IntegerField(null=True)),
                        ('client', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='clients.client')),
                    ],
                    options={
                        'db_table': 'rollup_hour',
                    },
                ),
            ],
        ),
    ]
