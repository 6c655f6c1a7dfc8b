from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('clients', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='RateBucket',
            fields=[
                ('pk', models.CompositePrimaryKey('key', 'window', blank=True, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=100)),
                ('window', models.DateTimeField()),
                ('count', models.PositiveIntegerField()),
            ],
        ),
    ]
