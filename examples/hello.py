import platform

print(f"Hello! This is Python {platform.python_version()}, running in a sandbox of its own.")
