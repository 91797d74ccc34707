packages=(chromium fonts-dejavu-core)
command=(python3 /app/server.py)
environment=(PYTHONUNBUFFERED=1)
user=www-data
