from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("networks", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="port",
            name="leaving",
            field=models.BooleanField(default=False),
        ),
    ]
