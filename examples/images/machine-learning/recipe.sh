command=(python3 /app/server.py)
environment=(PYTHONUNBUFFERED=1)
user=nobody
