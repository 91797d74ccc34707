command=(python3 -m gunicorn --bind=0.0.0.0:9000 --threads=8 --access-logfile=- app:app)
environment=(PYTHONUNBUFFERED=1)
user=www-data
